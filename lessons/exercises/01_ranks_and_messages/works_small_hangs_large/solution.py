import numpy as np


def smooth(comm, x):
    """The mean of this rank's x and its two neighbours'. x: float64 [n]."""
    rank, size = comm.Get_rank(), comm.Get_size()
    left, right = (rank - 1) % size, (rank + 1) % size
    from_left, from_right = np.empty_like(x), np.empty_like(x)
    comm.Sendrecv(x, dest=right, sendtag=1, recvbuf=from_left, source=left, recvtag=1)
    comm.Sendrecv(x, dest=left, sendtag=2, recvbuf=from_right, source=right, recvtag=2)
    return (from_left + x + from_right) / 3
