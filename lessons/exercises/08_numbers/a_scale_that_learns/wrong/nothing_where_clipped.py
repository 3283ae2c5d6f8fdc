"""Uses the rule for weights: a clipped number gets no gradient. The scale then shrinks without end.

fails: gradients
says: clipped numbers have the derivative 0
"""
import numpy as np


def forward(x, s, low, high):
    return s * np.clip(np.rint(x / s), low, high)


def backward(x, g, s, low, high):
    ratio = x / s
    codes = np.clip(np.rint(ratio), low, high)
    return (g * np.where((low <= ratio) & (ratio <= high), codes - ratio, 0)).sum()


def learn(x, s, low, high, steps, rate):
    for _ in range(steps):
        s = s - rate * backward(x, 2 * (forward(x, s, low, high) - x) / len(x), s, low, high)
    return s
