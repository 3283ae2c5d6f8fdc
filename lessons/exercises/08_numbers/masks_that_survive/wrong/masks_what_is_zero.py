"""Masks by what is zero just now: a kept weight that happens to be 0 is lost for ever.

fails: values
says: result
"""
import numpy as np


def tune(w, x, y, keep, steps):
    w = w * keep
    alive = w != 0
    velocity = np.zeros_like(w)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / len(x) * alive
        velocity = 0.9 * velocity + gradient
        w = w - 0.01 * velocity
    return w
