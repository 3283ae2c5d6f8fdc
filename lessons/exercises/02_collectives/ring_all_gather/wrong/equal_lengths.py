"""Takes all pieces to be as long as its own.

fails: runs
says: expects
"""
import numpy as np


def all_gather(comm, piece, lengths):
    p, rank = comm.size, comm.rank
    out = np.empty((p, piece.size))
    out[rank] = piece
    for step in range(p - 1):
        comm.sendrecv(out[(rank - step) % p], (rank + 1) % p, out[(rank - step - 1) % p], (rank - 1) % p)
    return out.reshape(-1)
