"""Predicts the traffic, the memory and the time of a training run by formulas, before the training runs.

`minipar.comm` counts the real traffic, and `minipar.proof` compares it with the formulas.

Reading order:

    collectives.py          messages and elements of one collective
    collective_times.py     seconds of one collective
    traffic.py              all messages of one training step
    memory.py               the memory of a training run
    machine.py              the rates and sizes of a machine, read from a file
    calibrate.py            fits the sustained rate and the launch overhead to measured steps
    collective_costs.py     the costs of a collective that are not messages: calls, copies, additions
    layer_time.py           the work of one layer: FLOPs, bytes moved, messages
    step_time.py            the seconds of one step, as a sum of terms; uses pipeline_time.py and groups.py
    step_memory.py          the memory of a step, by published formulas for large models
    search.py               the time and the memory of every layout of a model

Read any other file when one of these files imports it.
"""
