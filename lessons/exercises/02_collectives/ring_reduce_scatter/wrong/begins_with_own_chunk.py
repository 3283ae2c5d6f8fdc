"""Begins with chunk `rank`, as an all-gather does: each chunk ends one rank too early.

fails: values
says: what rank r + 1 should have
"""
import numpy as np


def reduce_scatter(comm, x):
    p, rank = comm.size, comm.rank
    chunks = np.array_split(x, p)
    passing = chunks[rank]
    for step in range(p - 1):
        own = chunks[(rank - step - 1) % p]
        received = comm.sendrecv(passing, (rank + 1) % p, np.empty(x.size)[:own.size], (rank - 1) % p)
        passing = received + own
    return passing.copy()
