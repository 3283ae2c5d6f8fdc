"""Puts the pieces in the order in which they arrive, its own first.

fails: values
says: order
"""
import numpy as np


def all_gather(comm, piece, lengths):
    p, rank = comm.size, comm.rank
    found, passing = [piece.copy()], piece
    for step in range(p - 1):
        source = (rank - step - 1) % p
        passing = comm.sendrecv(passing, (rank + 1) % p, np.empty(lengths[source]), (rank - 1) % p)
        found.append(passing)
    return np.concatenate(found)
