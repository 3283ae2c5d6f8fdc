"""Trains at the full rate, and switches the rate off at the end, so that nothing moves any more.

fails: values
says: does not come to rest
"""
import numpy as np


def rates(first, steps):
    return np.where(np.arange(steps) < 0.9 * steps, first, 0.0)
