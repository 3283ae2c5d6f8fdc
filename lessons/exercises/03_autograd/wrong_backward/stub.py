import numpy as np


def matmul(a, b):
    """a [n, k] @ b [k, m]."""
    return a @ b, lambda g: (g @ b.T, a.T @ g)


def add_bias(x, b):
    """x [rows, D] + b [D]."""
    return x + b, lambda g: (g, g.sum(axis=0))


def relu(x):
    """The larger of x and 0."""
    return np.maximum(x, 0), lambda g: (g * (x > 0),)


def scale_rows(x, s):
    """Row i of x [rows, D], times s[i]."""
    return x * s[:, None], lambda g: (g * s[:, None], (g * x).mean(axis=1))
