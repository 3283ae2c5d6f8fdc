"""Forgets to subtract the largest number.

fails: values
says: NaN
"""
import numpy as np


def softmax(z):
    with np.errstate(all="ignore"):
        e = np.exp(z)
        return e / e.sum(axis=1, keepdims=True)


def backward(p, g):
    return p * (g - (p * g).sum(axis=1, keepdims=True))
