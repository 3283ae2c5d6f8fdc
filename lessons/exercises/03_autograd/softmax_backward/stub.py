import numpy as np


def softmax(z):
    """Rows of probabilities. z: float64 [rows, n]."""
    raise NotImplementedError("write softmax: exp(1000) is infinite; what may you subtract from a row?")


def backward(p, g):
    """dL/dz from p = softmax(z) and g = dL/dp, each float64 [rows, n]."""
    raise NotImplementedError("write backward: derive it by hand first")
