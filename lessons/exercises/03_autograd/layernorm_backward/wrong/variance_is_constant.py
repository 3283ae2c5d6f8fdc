"""Takes the variance for a constant: one of the two terms is missing.

fails: gradients
says: variance counts as a constant
"""
import numpy as np

EPS = 1e-5


def layernorm(x):
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + EPS)


def backward(x, g):
    return (g - g.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + EPS)
