import numpy as np

B1, B2, EPS = 0.9, 0.999, 1e-8


def step(w, g, m, v, t, lr):
    """(w, m, v) after step t = 1, 2, ...; each float64 [n]."""
    m = B1 * m + (1 - B1) * g
    v = B2 * v + (1 - B2) * g**2
    w = w - lr * (m / (1 - B1**t)) / (np.sqrt(v / (1 - B2**t)) + EPS)
    return w, m, v
