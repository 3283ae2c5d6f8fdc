"""Asks whether the error is too large: NaN is never larger than anything.

fails: values
says: NaN
"""
import numpy as np


def is_right(f, gradient, x):
    claimed = gradient(x.copy())
    numeric = np.array([(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.size)])
    if np.abs(claimed - numeric).max() > 1e-6 * np.abs(numeric).max():
        return False
    return True
