import numpy as np


def smooth(comm, x):
    """The mean of this rank's x and its two neighbours'. x: float64 [n]."""
    rank, size = comm.Get_rank(), comm.Get_size()
    left, right = (rank - 1) % size, (rank + 1) % size
    from_left, from_right = np.empty_like(x), np.empty_like(x)
    comm.Send(x, dest=right, tag=1)
    comm.Send(x, dest=left, tag=2)
    comm.Recv(from_left, source=left, tag=1)
    comm.Recv(from_right, source=right, tag=2)
    return (from_left + x + from_right) / 3
