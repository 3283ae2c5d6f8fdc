"""Sends to a position that does not exist: right only where p is a power of two.

fails: runs
says: rank
"""
import numpy as np


def broadcast(comm, x, root):
    p = comm.size
    position = (comm.rank - root) % p
    out = x.copy() if position == 0 else np.empty_like(x)
    reach = 1
    while reach < p:
        if position < reach:
            comm.send(out, position + reach + root)
        elif reach <= position < 2 * reach:
            comm.recv(out, (position - reach + root) % p)
        reach *= 2
    return out
