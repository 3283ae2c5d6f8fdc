"""Leaves out the clip: the smallest range then seems to be the best.

fails: values
says: not clipped
"""
import numpy as np


def best_range(x, bits, shares):
    limits = shares * np.abs(x).max()
    steps = limits / (2 ** (bits - 1) - 1)
    errors = np.array([((np.rint(x / step) * step - x) ** 2).mean() for step in steps])
    best = errors.argmin()
    return {"errors": errors, "limit": limits[best], "gain": 10 * np.log10(errors[0] / errors[best])}
