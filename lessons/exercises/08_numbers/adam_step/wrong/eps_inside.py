"""Puts eps inside the root, where it cannot be forgotten.

fails: values
says: inside the root
"""
import numpy as np


def step(w, g, m, v, t, lr):
    m, v = 0.9 * m + (1 - 0.9) * g, 0.999 * v + (1 - 0.999) * g**2
    return w - lr * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t) + 1e-8), m, v
