"""Uses the formula for amplitudes: a squared error is a power already.

fails: values
says: 20 log10
"""
import numpy as np


def best_range(x, bits, shares):
    q, limits = 2 ** (bits - 1) - 1, shares * np.abs(x).max()
    backs = [np.clip(np.rint(x / (limit / q)), -q, q) * (limit / q) for limit in limits]
    errors = np.array([((back - x) ** 2).mean() for back in backs])
    best = errors.argmin()
    return {"errors": errors, "limit": limits[best], "gain": 20 * np.log10(errors[0] / errors[best])}
