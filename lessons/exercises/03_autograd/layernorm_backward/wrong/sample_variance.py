"""Divides by D - 1, as statistics does for a sample.

fails: values
says: D - 1
"""
import numpy as np

EPS = 1e-5


def layernorm(x):
    if x.shape[1] < 2:
        return np.zeros_like(x)
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, ddof=1, keepdims=True) + EPS)


def backward(x, g):
    n = layernorm(x)
    deviation = np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    return (g - g.mean(axis=1, keepdims=True) - n * (g * n).mean(axis=1, keepdims=True)) / deviation
