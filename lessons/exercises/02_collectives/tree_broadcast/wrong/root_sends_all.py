"""The root sends to everybody, as one writes it first.

fails: cost
says: messages
"""
import numpy as np


def broadcast(comm, x, root):
    if comm.rank == root:
        for rank in range(comm.size):
            if rank != root:
                comm.send(x, rank)
        return x.copy()
    out = np.empty_like(x)
    comm.recv(out, root)
    return out
