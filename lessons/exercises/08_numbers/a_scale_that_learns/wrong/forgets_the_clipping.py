"""Uses the rule for numbers inside the range everywhere.

fails: gradients
says: for clipped numbers, too
"""
import numpy as np


def forward(x, s, low, high):
    return s * np.clip(np.rint(x / s), low, high)


def backward(x, g, s, low, high):
    ratio = x / s
    codes = np.clip(np.rint(ratio), low, high)
    return (g * (codes - ratio)).sum()


def learn(x, s, low, high, steps, rate):
    for _ in range(steps):
        s = s - rate * backward(x, 2 * (forward(x, s, low, high) - x) / len(x), s, low, high)
    return s
