"""Sends the whole array from rank to rank, so that one link works at a time.

fails: cost
says: virtual time
"""
import numpy as np


def segments(p, n):
    return 1


def broadcast(comm, x):
    out = x.copy() if comm.rank == 0 else np.empty_like(x)
    if comm.rank > 0:
        comm.recv(out, comm.rank - 1)
    if comm.rank < comm.size - 1:
        comm.send(out, comm.rank + 1)
    return out
