import numpy as np

import minipar as mp


def clip(comm, own, shared, limit):
    """(own, shared), scaled so that the norm of the whole gradient is at most `limit`."""
    squares = mp.all_reduce(comm, np.array([own @ own]))[0] + shared @ shared
    norm = np.sqrt(squares)
    factor = limit / norm if norm > limit else 1.0
    return own * factor, shared * factor
