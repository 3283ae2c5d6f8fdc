"""Takes the derivative of each element by itself, as for a sigmoid: p (1 - p) g.

fails: gradients
says: z_j changes p_j only
"""
import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def backward(p, g):
    return p * (1 - p) * g
