"""How large a step may be if its gradient is old: plain descent on the parabola x**2 / 2 with delay d,

    x[t + 1] = x[t] - rate * x[t - d]

Without delay, x shrinks if 0 < rate < 2. With x[t] = z**t, the rule is z**(d+1) - z**d + rate = 0, and x
shrinks if all d + 1 roots lie inside the unit circle. The first root reaches the circle at

    rate = 2 sin(pi / (2 (2 d + 1)))        2, 1, 0.618, 0.445, 0.347, ... for d = 0, 1, 2, 3, 4, ...

(Zhang, Mitliagkas and Re 2017, "YellowFin"; the limit for a delay is classical control theory.) For a loss
with curvature c, the limit is on rate * c.
"""

from __future__ import annotations

import math

import numpy as np

from minipar.errors import ConfigError


def stability_limit(delay: int) -> float:
    """The smallest rate at which descent with this delay no longer shrinks.

    >>> [round(stability_limit(delay), 3) for delay in (0, 1, 2, 4, 8)]
    [2.0, 1.0, 0.618, 0.347, 0.185]
    """
    return 2 * math.sin(math.pi / (2 * (2 * _delay(delay) + 1)))


def shrink_factor(rate: float, delay: int) -> float:
    """The factor by which the distance shrinks per step, after many steps: the largest root's modulus.

    >>> shrink_factor(0.5, 0)
    0.5
    """
    coefficients = np.zeros(_delay(delay) + 2)
    coefficients[0] = 1
    coefficients[1] -= 1
    coefficients[-1] += rate
    return float(abs(np.roots(coefficients)).max())


def delayed_descent(rate: float, delay: int, steps: int, start: float = 1.0) -> np.ndarray:
    """The positions x [steps + 1], float64. In the first `delay` steps, the gradient is that of the start.

    >>> delayed_descent(0.5, 1, 3).tolist()
    [1.0, 0.5, 0.0, -0.25]
    """
    x = np.full(steps + 1, start)
    with np.errstate(over="ignore", invalid="ignore"):              # above the limit, x grows without end
        for step in range(steps):
            x[step + 1] = x[step] - rate * x[max(step - _delay(delay), 0)]
    return x


def _delay(delay: int) -> int:
    if delay < 0:
        raise ConfigError(f"a delay of {delay} steps: a gradient cannot be from the future; give 0 or more")
    return delay
