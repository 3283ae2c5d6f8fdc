"""Takes the source as the row, and forgets rank 0's own result.

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
    table = np.zeros((size, x.size))
    status, row = MPI.Status(), np.empty_like(x)
    for _ in range(1, size):
        comm.Recv(row, source=MPI.ANY_SOURCE, tag=1, status=status)
        table[status.Get_source()] = row
    return table
