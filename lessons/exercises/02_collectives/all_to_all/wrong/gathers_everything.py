"""Sends all its blocks to everybody, and picks its own at the receiver: p times too many bytes.

fails: cost
says: par is
"""
import numpy as np


def all_to_all(comm, blocks):
    p, rank = comm.size, comm.rank
    out = blocks.copy()
    for step in range(1, p):
        dest, source = (rank + step) % p, (rank - step) % p
        came = comm.sendrecv(blocks, dest, np.empty_like(blocks), source)
        out[source] = came[rank]
    return out
