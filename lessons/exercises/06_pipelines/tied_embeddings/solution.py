import numpy as np


def add_tied(comm, gradient):
    """The sum of the gradients of both ends, on both ends. gradient: float64 [V, D], or [0, D] in between."""
    last = comm.size - 1
    if last == 0 or 0 < comm.rank < last:
        return gradient.copy()
    other = last - comm.rank
    return gradient + comm.sendrecv(gradient, other, np.empty_like(gradient), other)
