"""Clips x, and measures the error against the clipped x: clipping seems to cost nothing.

fails: values
says: against clipped numbers
"""
import numpy as np


def best_range(x, bits, shares):
    limits = shares * np.abs(x).max()
    errors = []
    for limit in limits:
        step = limit / (2 ** (bits - 1) - 1)
        inside = np.clip(x, -limit, limit)
        errors.append(((np.rint(inside / step) * step - inside) ** 2).mean())
    best = int(np.argmin(errors))
    return {"errors": np.array(errors), "limit": limits[best], "gain": 10 * np.log10(errors[0] / errors[best])}
