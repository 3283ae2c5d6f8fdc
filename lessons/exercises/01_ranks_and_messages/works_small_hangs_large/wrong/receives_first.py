"""Exchanges sends and receives: now everybody waits at once, for small arrays too.

fails: no deadlock
says: deadlock
"""
import numpy as np


def smooth(comm, x):
    rank, size = comm.Get_rank(), comm.Get_size()
    left, right = (rank - 1) % size, (rank + 1) % size
    from_left, from_right = np.empty_like(x), np.empty_like(x)
    comm.Recv(from_left, source=left, tag=1)
    comm.Recv(from_right, source=right, tag=2)
    comm.Send(x, dest=right, tag=1)
    comm.Send(x, dest=left, tag=2)
    return (from_left + x + from_right) / 3
