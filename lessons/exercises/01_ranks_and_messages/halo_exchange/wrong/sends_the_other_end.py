"""Confuses the two ends: sends its first cell to the right.

fails: values
says: wrong end of its piece
"""
import numpy as np


def step(comm, u):
    left, right = np.zeros(1), np.zeros(1)
    if comm.rank + 1 < comm.size:
        comm.sendrecv(u[:1], comm.rank + 1, right, comm.rank + 1)
    if comm.rank > 0:
        comm.sendrecv(u[-1:], comm.rank - 1, left, comm.rank - 1)
    v = np.concatenate([left, u, right])
    return u + (v[:-2] - 2 * u + v[2:]) / 4
