"""Formulas for the traffic, the memory and the time of a training, evaluated before it runs.

`minipar.comm` counts the real traffic, and `minipar.proof` compares it with the formulas.

Reading order:

    collectives.py          messages and elements of one collective
    collective_times.py     seconds of one collective
    traffic.py              all messages of one training step
    memory.py               the memory of a training

The other files are imported by these four.
"""
