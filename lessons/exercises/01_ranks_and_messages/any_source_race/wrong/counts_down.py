"""Sees that the order is turned round, and counts down: another order that it believes in.

fails: values
says: result
"""
import numpy as np
from mpi4py import MPI


def collect(comm, x):
    rank, size = comm.Get_rank(), comm.Get_size()
    if rank > 0:
        if rank < size - 1:
            comm.Recv(np.empty(1), source=rank + 1, tag=7)
        comm.Send(x, dest=0, tag=1)
        if rank > 1:
            comm.Send(np.zeros(1), dest=rank - 1, tag=7)
        return np.empty((0, x.size))
    table = np.empty((size, x.size))
    table[0] = x
    for row in range(size - 1, 0, -1):
        comm.Recv(table[row], source=MPI.ANY_SOURCE, tag=1)
    return table[[0, *range(size - 1, 0, -1)]]
