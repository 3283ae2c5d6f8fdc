"""Sees that the order is turned round, and counts down: another order that it believes in.

fails: values
says: result
"""
import numpy as np
from mpi4py import MPI


def collect(comm, x, before, after):
    rank, size = comm.Get_rank(), comm.Get_size()
    if rank > 0:
        if before is not None:
            comm.Recv(np.empty(1), source=before, tag=7)
        comm.Send(x, dest=0, tag=1)
        if after is not None:
            comm.Send(np.zeros(1), dest=after, tag=7)
        return np.empty((0, x.size))
    table = np.empty((size, x.size))
    table[0] = x
    for row in range(size - 1, 0, -1):
        comm.Recv(table[row], source=MPI.ANY_SOURCE, tag=1)
    return table
