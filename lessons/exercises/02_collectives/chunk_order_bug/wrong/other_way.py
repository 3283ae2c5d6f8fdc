"""Turns the index that goes out, not the one that comes in: unset memory travels.

fails: values
says: the result
"""
import numpy as np


def all_gather(comm, piece):
    p, rank = comm.size, comm.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    pieces = np.zeros((p, piece.size))
    pieces[rank] = piece
    for step in range(p - 1):
        going = (rank + step) % p
        coming = (rank + step + 1) % p
        comm.sendrecv(pieces[going], right, pieces[coming], left)
    return pieces.reshape(-1)
