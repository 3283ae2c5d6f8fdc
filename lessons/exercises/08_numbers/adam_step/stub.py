import numpy as np

B1, B2, EPS = 0.9, 0.999, 1e-8


def step(w, g, m, v, t, lr):
    """(w, m, v) after step t = 1, 2, ...; each float64 [n]."""
    raise NotImplementedError("write step: first the two running means, then the correction")
