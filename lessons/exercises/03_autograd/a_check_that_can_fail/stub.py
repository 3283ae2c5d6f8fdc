import numpy as np


def is_right(f, gradient, x):
    """Whether gradient(x) is the gradient of f at x. x: float64 [n]."""
    raise NotImplementedError("write is_right: which step h, and how near is near enough?")
