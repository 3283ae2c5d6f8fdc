"""Returns the corrected means, so the next step corrects them again.

fails: values
says: second result
"""
import numpy as np


def step(w, g, m, v, t, lr):
    m, v = (0.9 * m + (1 - 0.9) * g) / (1 - 0.9**t), (0.999 * v + (1 - 0.999) * g**2) / (1 - 0.999**t)
    return w - lr * m / (np.sqrt(v) + 1e-8), m, v
