import numpy as np

STEP, NEAR = 1e-5, 1e-6


def is_right(f, gradient, x):
    """Whether gradient(x) is the gradient of f at x. x: float64 [n]."""
    claimed = gradient(x.copy())
    numeric = np.empty_like(x)
    for i in range(x.size):
        step = np.zeros_like(x)
        step[i] = STEP * max(1.0, abs(x[i]))
        numeric[i] = (f(x + step) - f(x - step)) / (2 * step[i])
    scale = max(np.abs(numeric).max(), np.abs(claimed).max())
    return bool(np.abs(claimed - numeric).max() <= NEAR * scale)    # NaN compares as False
