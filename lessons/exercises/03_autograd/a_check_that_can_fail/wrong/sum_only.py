"""Compares the sums: two exchanged elements have the same one.

fails: values
says: exchanged
"""
import numpy as np


def is_right(f, gradient, x):
    numeric = np.array([(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.size)])
    return bool(abs(gradient(x.copy()).sum() - numeric.sum()) <= 1e-6 * np.abs(numeric).sum())
