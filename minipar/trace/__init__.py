"""The trace of one training step: the times of every instruction and message on each rank, and its memory.

Reading order:

    tracer.py               records one rank
    step.py                 runs a step and gathers the records of all ranks
    ports.py, predict.py    the simulation of the same step
    flops.py                the work of each instruction
    planned.py              a step predicted from sizes and links alone
    measure_machine.py      this machine, for the planner
"""
