"""Traces one training step: the times of every instruction and message on each rank, and the memory of each
rank.

Reading order:

    tracer.py               records one rank
    step.py                 runs a step and gathers the records of all ranks
    ports.py, predict.py    simulate the same step
    flops.py                counts the FLOPs of each instruction
    planned.py              predicts a step from sizes and links, without running it
    measure_machine.py      measures this machine for the planner
"""
