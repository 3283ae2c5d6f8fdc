"""Computes each gradient at the newest weights, as training without delay does.

fails: values
says: newest weights
"""
import numpy as np


def replay(w, curvature, pulled, lr):
    ages = np.arange(len(pulled)) - np.array(pulled, np.int64)
    for age in ages:
        w = w - lr / (1 + age) * curvature * w
    return w, ages
