"""Leaves the correction out, as some reports do.

fails: values
says: correction is missing
"""
import numpy as np


def step(w, g, m, v, t, lr):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    return w - lr * m / (np.sqrt(v) + 1e-8), m, v
