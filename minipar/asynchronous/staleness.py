"""Computes the largest stable learning rate for old gradients. The model is gradient descent on the parabola
x**2 / 2. Each gradient is d steps old:

    x[t + 1] = x[t] - rate * x[t - d]

Without delay, x shrinks if 0 < rate < 2. The guess x[t] = z**t gives z**(d+1) - z**d + rate = 0. x shrinks
if all d + 1 roots are inside the unit circle. The first root reaches the circle at

    rate = 2 sin(pi / (2 (2 d + 1)))        2, 1, 0.618, 0.445, 0.347, ... for d = 0, 1, 2, 3, 4, ...

The limit comes from control theory (see also Zhang, Mitliagkas and Re 2017, "YellowFin"). For a loss with
curvature c, this is the limit of rate * c.
"""

from __future__ import annotations

import math

import numpy as np

from minipar.errors import ConfigError


def stability_limit(delay: int) -> float:
    """Returns the smallest rate at which x does not shrink with this delay.

    >>> [round(stability_limit(delay), 3) for delay in (0, 1, 2, 4, 8)]
    [2.0, 1.0, 0.618, 0.347, 0.185]
    """
    return 2 * math.sin(math.pi / (2 * (2 * _delay(delay) + 1)))


def shrink_factor(rate: float, delay: int) -> float:
    """Returns the factor by which x shrinks per step after many steps. It is the modulus of the largest root.

    >>> shrink_factor(0.5, 0)
    0.5
    """
    coefficients = np.zeros(_delay(delay) + 2)
    coefficients[0] = 1
    coefficients[1] -= 1
    coefficients[-1] += rate
    return float(abs(np.roots(coefficients)).max())


def delayed_descent(rate: float, delay: int, steps: int) -> np.ndarray:
    """Returns the positions x [steps + 1], float64. The start is x = 1, and the first `delay` steps use the
    gradient at the start.

    >>> delayed_descent(0.5, 1, 3).tolist()
    [1.0, 0.5, 0.0, -0.25]
    """
    x = np.ones(steps + 1)
    with np.errstate(over="ignore", invalid="ignore"):              # above the limit, x grows to infinity
        for step in range(steps):
            x[step + 1] = x[step] - rate * x[max(step - _delay(delay), 0)]
    return x


def _delay(delay: int) -> int:
    if delay < 0:
        raise ConfigError(f"a delay of {delay} steps is negative; give 0 or more")
    return delay
