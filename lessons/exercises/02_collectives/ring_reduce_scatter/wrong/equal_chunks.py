"""Divides n by p and forgets the rest: right only where p divides n.

fails: values
says: has shape
"""
import numpy as np


def reduce_scatter(comm, x):
    p, rank = comm.size, comm.rank
    size = x.size // p
    chunks = [x[r * size:(r + 1) * size] for r in range(p)]
    passing = chunks[(rank - 1) % p]
    for step in range(p - 1):
        received = comm.sendrecv(passing, (rank + 1) % p, np.empty(size), (rank - 1) % p)
        passing = received + chunks[(rank - step - 2) % p]
    return passing.copy()
