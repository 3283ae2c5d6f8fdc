"""Divides by the number of ranks, as data parallelism does with gradients.

fails: values
says: times too small
"""
import numpy as np


def all_reduce(comm, x):
    total, passing = x.copy(), x
    for _ in range(comm.size - 1):
        passing = comm.sendrecv(
            passing, (comm.rank + 1) % comm.size, np.empty_like(x), (comm.rank - 1) % comm.size
        )
        total = total + passing
    return total / comm.size
