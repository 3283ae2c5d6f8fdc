"""Passes whole arrays around and keeps one chunk: right, and p times too many bytes.

fails: cost
says: par is
"""
import numpy as np


def reduce_scatter(comm, x):
    p, rank = comm.size, comm.rank
    total, passing = x.copy(), x
    for _ in range(p - 1):
        passing = comm.sendrecv(passing, (rank + 1) % p, np.empty_like(x), (rank - 1) % p)
        total = total + passing
    return np.array_split(total, p)[rank].copy()
