"""Holds the codes fixed, as if no code ever changed with the scale.

fails: gradients
says: `code` for all numbers
"""
import numpy as np


def forward(x, s, low, high):
    return s * np.clip(np.rint(x / s), low, high)


def backward(x, g, s, low, high):
    ratio = x / s
    codes = np.clip(np.rint(ratio), low, high)
    return (g * codes).sum()


def learn(x, s, low, high, steps, rate):
    for _ in range(steps):
        s = s - rate * backward(x, 2 * (forward(x, s, low, high) - x) / len(x), s, low, high)
    return s
