"""Averages H z, without the second z.

fails: values
says: the mean of H z
"""
import numpy as np


def diagonal(times, signs):
    return np.mean([times(z) for z in signs], axis=0)
