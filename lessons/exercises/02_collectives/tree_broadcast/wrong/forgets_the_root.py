"""Counts from rank 0, whoever the root is: right as long as the root is 0.

fails: values
says: rank
"""
import numpy as np


def broadcast(comm, x, root):
    p, rank = comm.size, comm.rank
    out = x.copy() if rank == 0 else np.empty_like(x)
    reach = 1
    while reach < p:
        if rank < reach and rank + reach < p:
            comm.send(out, rank + reach)
        elif reach <= rank < 2 * reach:
            comm.recv(out, rank - reach)
        reach *= 2
    return out
