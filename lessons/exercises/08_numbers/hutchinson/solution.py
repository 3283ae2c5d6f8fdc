import numpy as np


def diagonal(times, signs):
    """Hutchinson's estimate of the diagonal of H, [n]. times(z) is H z; signs: [k, n]."""
    return np.mean([z * times(z) for z in signs], axis=0)
