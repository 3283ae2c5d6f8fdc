"""Uses the scalar product, and so estimates the trace.

fails: values
says: mean of z * (H z) over all elements
"""
import numpy as np


def diagonal(times, signs):
    return np.full(signs.shape[1], np.mean([z @ times(z) for z in signs]) / signs.shape[1])
