import numpy as np

EPS = 1e-5


def layernorm(x):
    """Rows of mean 0 and variance 1. x: float64 [rows, D]."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPS)


def backward(x, g):
    """dL/dx from g = dL/dn, each float64 [rows, D]."""
    n = layernorm(x)
    deviation = np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    mean_g, mean_gn = g.mean(axis=1, keepdims=True), (g * n).mean(axis=1, keepdims=True)
    return (g - mean_g - n * mean_gn) / deviation
