"""Takes the source as the row, and forgets rank 0's own result.

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
    table = np.zeros((size, x.size))
    status, row = MPI.Status(), np.empty_like(x)
    for _ in range(1, size):
        comm.Recv(row, source=MPI.ANY_SOURCE, tag=1, status=status)
        table[status.Get_source()] = row
    return table
