"""The gradient of a function by differences, to hold formulas against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def slopes(function: Callable[[np.ndarray], float], at: np.ndarray, h: float = 1e-4) -> np.ndarray:
    """The gradient at an array of float64, of its shape. Four values for each element, so that the error is
    of order h^4.
    """
    found = np.empty_like(at)
    for index in np.ndindex(at.shape):
        unit = np.zeros_like(at)
        unit[index] = h
        found[index] = (8 * (function(at + unit) - function(at - unit))
                        - function(at + 2 * unit) + function(at - 2 * unit)) / (12 * h)
    return found
