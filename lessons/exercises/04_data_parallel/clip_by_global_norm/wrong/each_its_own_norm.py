"""Each rank clips by the norm of what it holds: the shared weight drifts apart.

fails: values
says: rank
"""
import numpy as np


def clip(comm, own, shared, limit):
    norm = np.sqrt(own @ own + shared @ shared)
    factor = limit / norm if norm > limit else 1.0
    return own * factor, shared * factor
