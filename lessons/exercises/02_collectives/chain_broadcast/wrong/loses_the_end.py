"""Makes k segments of n // k numbers: the last numbers of the array never travel.

fails: values
says: never written
"""
import math

import numpy as np


def segments(p, n):
    return max(1, round(math.sqrt(max(p - 2, 0) * 8 * n * 1e-9 / 10e-6)))


def broadcast(comm, x):
    out = x.copy() if comm.rank == 0 else np.empty_like(x)
    k = segments(comm.size, x.size)
    length = x.size // k
    for number in range(k):
        segment = out[number * length:(number + 1) * length]
        if comm.rank > 0:
            comm.recv(segment, comm.rank - 1)
        if comm.rank < comm.size - 1:
            comm.send(segment, comm.rank + 1)
    return out
