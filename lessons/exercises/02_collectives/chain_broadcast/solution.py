import math

import numpy as np

ALPHA, BETA = 10e-6, 1e-9                                           # seconds per message, seconds per byte


def segments(p, n):
    """The number of segments into which p ranks split n numbers of 8 bytes."""
    return max(1, round(math.sqrt(max(p - 2, 0) * 8 * n * BETA / ALPHA)))


def broadcast(comm, x):
    """The array of rank 0 on every rank. x: float64 [n]."""
    p, rank = comm.size, comm.rank
    out = x.copy() if rank == 0 else np.empty_like(x)
    for segment in np.array_split(out, segments(p, x.size)):        # views of out
        if rank > 0:
            comm.recv(segment, rank - 1)
        if rank < p - 1:
            comm.send(segment, rank + 1)
    return out
