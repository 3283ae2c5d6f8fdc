"""Sums over the wrong axis: right for a square matrix of one value only.

fails: gradients
says: 'grad z'
"""
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def backward(p, g):
    return p * (g - (p * g).sum(axis=0, keepdims=True))
