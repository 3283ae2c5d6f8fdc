"""Does not fix the ring but sends everything twice, to be safe.

fails: cost
says: messages
"""
import numpy as np


def all_gather(comm, piece):
    p, rank = comm.size, comm.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    pieces = np.zeros((p, piece.size))
    pieces[rank] = piece
    for _ in range(2):
        for step in range(p - 1):
            comm.sendrecv(pieces[(rank - step) % p], right, pieces[(rank - step - 1) % p], left)
    return pieces.reshape(-1)
