import numpy as np


def forward(x, s, low, high):
    """x [n] rounded to multiples of s, with codes low to high."""
    return s * np.clip(np.rint(x / s), low, high)


def backward(x, g, s, low, high):
    """The straight-through gradient for s, a number. g [n] is the gradient for what forward returned."""
    ratio = x / s
    codes = np.clip(np.rint(ratio), low, high)
    inside = (low <= ratio) & (ratio <= high)
    return (g * np.where(inside, codes - ratio, codes)).sum()


def learn(x, s, low, high, steps, rate):
    """The scale after `steps` steps of gradient descent on the mean squared error of x [n]."""
    for _ in range(steps):
        g = 2 * (forward(x, s, low, high) - x) / len(x)
        s = s - rate * backward(x, g, s, low, high)
    return s
