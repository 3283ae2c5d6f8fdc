"""A linear model and points to fit it to, for lesson 13: small enough that a training is five lines."""

from __future__ import annotations

import numpy as np

from minipar.rng import stream

POINTS, FEATURES = 32, 8
X = stream(0, "points").normal(size=(POINTS, FEATURES))
Y = X @ stream(0, "truth").normal(size=FEATURES) + stream(0, "errors").normal(size=POINTS)


def slope(w: np.ndarray, rows: np.ndarray, count: int | None = None) -> np.ndarray:
    """The gradient [FEATURES] of half the squared error at weights w, summed over some samples and divided by
    `count`, by default by how many they are.
    """
    return X[rows].T @ (X[rows] @ w - Y[rows]) / (len(rows) if count is None else count)


def adam_step(g: np.ndarray, m: np.ndarray, v: np.ndarray, step: int) -> np.ndarray:
    """Adam's direction for this gradient (lesson 02); m and v, its state, are updated in place. step: from 1
    on.
    """
    m += 0.1 * (g - m)
    v += 0.001 * (g * g - v)
    return m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
