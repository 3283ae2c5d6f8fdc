"""Compares with a fixed number: a tiny function passes whatever its gradient is.

fails: values
says: accepts 1 of 4 wrong gradients
"""
import numpy as np


def is_right(f, gradient, x):
    numeric = np.array([(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.size)])
    return bool(np.abs(gradient(x) - numeric).max() < 1e-3)
