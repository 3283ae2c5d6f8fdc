"""Splits the array, but receives all segments before it sends the first one: no two links work together.

fails: cost
says: virtual time
"""
import math

import numpy as np


def segments(p, n):
    return max(1, round(math.sqrt(max(p - 2, 0) * 8 * n * 1e-9 / 10e-6)))


def broadcast(comm, x):
    out = x.copy() if comm.rank == 0 else np.empty_like(x)
    parts = np.array_split(out, segments(comm.size, x.size))
    if comm.rank > 0:
        for part in parts:
            comm.recv(part, comm.rank - 1)
    if comm.rank < comm.size - 1:
        for part in parts:
            comm.send(part, comm.rank + 1)
    return out
