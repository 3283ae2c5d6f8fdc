"""Forgets that the last rank has no next rank.

fails: runs
says: rank
"""
import numpy as np


def segments(p, n):
    return 1


def broadcast(comm, x):
    out = x.copy() if comm.rank == 0 else np.empty_like(x)
    if comm.rank > 0:
        comm.recv(out, comm.rank - 1)
    comm.send(out, comm.rank + 1)
    return out
