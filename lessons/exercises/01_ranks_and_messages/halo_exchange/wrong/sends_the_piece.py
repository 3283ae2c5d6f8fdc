"""Sends its whole piece to both neighbours, who need one cell of it.

fails: cost
says: par is
"""
import numpy as np


def step(comm, u):
    rank, last = comm.rank, comm.size - 1
    whole = np.zeros(64)                                            # pieces have different lengths
    whole[:u.size], whole[-1] = u, u.size
    padded = np.zeros(u.size + 2)
    padded[1:-1] = u
    other = np.empty(64)
    if rank > 0:
        comm.sendrecv(whole, rank - 1, other, rank - 1)
        padded[0] = other[int(other[-1]) - 1]
    if rank < last:
        comm.sendrecv(whole, rank + 1, other, rank + 1)
        padded[-1] = other[0]
    return u + (padded[:-2] - 2 * u + padded[2:]) / 4
