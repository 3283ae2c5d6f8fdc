"""Sends its own piece p - 1 times to the right-hand neighbour, as if it could reach all ranks so.

fails: values
says: differs between the ranks
"""
import numpy as np


def all_gather(comm, piece):
    p, rank = comm.size, comm.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    pieces = np.zeros((p, piece.size))
    pieces[rank] = piece
    for step in range(p - 1):
        comm.sendrecv(piece, right, pieces[(rank - step - 1) % p], left)
    return pieces.reshape(-1)
