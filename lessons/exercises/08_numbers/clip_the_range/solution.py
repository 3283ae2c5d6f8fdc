import numpy as np


def squared_error(x, limit, q):
    """The mean squared error of x [n] in codes -q to q that cover -limit to limit."""
    step = limit / q
    back = np.clip(np.rint(x / step), -q, q) * step
    return ((back - x) ** 2).mean()


def best_range(x, bits, shares):
    """{"errors": float64 [k], "limit", "gain" in dB}: the best of the limits shares * max |x|."""
    limits = shares * np.abs(x).max()
    errors = np.array([squared_error(x, limit, 2 ** (bits - 1) - 1) for limit in limits])
    best = errors.argmin()
    return {"errors": errors, "limit": limits[best], "gain": 10 * np.log10(errors[0] / errors[best])}
