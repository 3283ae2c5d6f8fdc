import numpy as np
from mpi4py import MPI


def collect(comm, x):
    """On rank 0: the table of all ranks' x, [p, n]. Elsewhere [0, n]."""
    rank, size = comm.Get_rank(), comm.Get_size()
    if rank > 0:
        if rank < size - 1:
            comm.Recv(np.empty(1), source=rank + 1, tag=7)          # the next rank is done
        comm.Send(x, dest=0, tag=1)
        if rank > 1:
            comm.Send(np.zeros(1), dest=rank - 1, tag=7)
        return np.empty((0, x.size))
    table = np.empty((size, x.size))
    table[0] = x
    for row in range(1, size):
        comm.Recv(table[row], source=MPI.ANY_SOURCE, tag=1)
    return table
