import numpy as np


def tune(w, x, y, keep, steps):
    """Prune w [d] to the weights in keep [d], and train them."""
    w = w * keep
    velocity = np.zeros_like(w)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / len(x) * keep
        velocity = 0.9 * velocity + gradient
        w = w - 0.01 * velocity
    return w
