"""Sees that a sum is missing, and sums along the wrong axis.

fails: gradients
says: 'grad s'
"""
import numpy as np


def matmul(a, b):
    return a @ b, lambda g: (g @ b.T, a.T @ g)


def add_bias(x, b):
    return x + b, lambda g: (g, g.sum(axis=0))


def relu(x):
    return np.maximum(x, 0), lambda g: (g * (x > 0),)


def scale_rows(x, s):
    return x * s[:, None], lambda g: (g * s[:, None], np.resize((g * x).sum(axis=0), s.shape))
