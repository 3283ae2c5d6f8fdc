"""A linear regression of which three weights of twenty matter, for lesson 11: does LASSO find them?"""

from __future__ import annotations

import numpy as np

from minipar.rng import stream

SAMPLES, INPUTS = 400, 20
TRUTH = np.zeros(INPUTS)
TRUTH[[2, 5, 11]] = 1.0, -2.0, 0.7
A = stream(0, "inputs").normal(size=(SAMPLES, INPUTS))
B = A @ TRUTH + 0.1 * stream(0, "noise").normal(size=SAMPLES)
GRAM, MOMENT = A.T @ A / SAMPLES, A.T @ B / SAMPLES  # the gradient of the squared error is GRAM w - MOMENT


def gradient(w: np.ndarray) -> np.ndarray:
    """Of half the mean squared error, at weights [INPUTS]."""
    return GRAM @ w - MOMENT


def refit(support: np.ndarray) -> np.ndarray:
    """The weights [INPUTS] of least squared error, those outside the support being 0."""
    w = np.zeros(INPUTS)
    w[support] = np.linalg.solve(GRAM[np.ix_(support, support)], MOMENT[support])
    return w
