import numpy as np

EPS = 1e-5


def layernorm(x):
    """Rows of mean 0 and variance 1. x: float64 [rows, D]."""
    raise NotImplementedError("write layernorm: mean and variance of each row")


def backward(x, g):
    """dL/dx from g = dL/dn, each float64 [rows, D]."""
    raise NotImplementedError("write backward: g, less its mean, less its part along n")
