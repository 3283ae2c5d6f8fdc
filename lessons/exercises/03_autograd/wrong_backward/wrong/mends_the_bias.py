"""Suspects the bias, whose sum looks odd, and makes a mean of it, too.

fails: gradients
says: 'grad bias'
"""
import numpy as np


def matmul(a, b):
    return a @ b, lambda g: (g @ b.T, a.T @ g)


def add_bias(x, b):
    return x + b, lambda g: (g, g.mean(axis=0))


def relu(x):
    return np.maximum(x, 0), lambda g: (g * (x > 0),)


def scale_rows(x, s):
    return x * s[:, None], lambda g: (g * s[:, None], (g * x).sum(axis=1))
