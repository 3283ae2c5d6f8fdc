"""Uses many short segments, since the formula of the rounds seems to say that short rounds are good.

fails: cost
says: virtual time
"""
import numpy as np


def segments(p, n):
    return 30


def broadcast(comm, x):
    out = x.copy() if comm.rank == 0 else np.empty_like(x)
    for segment in np.array_split(out, segments(comm.size, x.size)):
        if comm.rank > 0:
            comm.recv(segment, comm.rank - 1)
        if comm.rank < comm.size - 1:
            comm.send(segment, comm.rank + 1)
    return out
