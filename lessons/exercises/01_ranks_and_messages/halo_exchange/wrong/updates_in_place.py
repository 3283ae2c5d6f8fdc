"""Writes the new cells into the array that the next cells still read.

fails: values
says: new value of its left neighbour
"""
import numpy as np


def step(comm, u):
    left, right = np.zeros(1), np.zeros(1)
    if comm.rank + 1 < comm.size:
        comm.sendrecv(u[-1:], comm.rank + 1, right, comm.rank + 1)
    if comm.rank > 0:
        comm.sendrecv(u[:1], comm.rank - 1, left, comm.rank - 1)
    v = np.concatenate([left, u, right])
    for i in range(1, len(v) - 1):
        v[i] += (v[i - 1] - 2 * v[i] + v[i + 1]) / 4
    return v[1:-1]
