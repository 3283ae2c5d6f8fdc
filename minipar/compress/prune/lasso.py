"""Prunes with LASSO (Tibshirani 1996): the penalty strength * |w|_1 makes weights exactly zero during
training.

|w|_1 is the sum of the magnitudes of all weights. It has no gradient at zero, so a second step follows each
gradient step (proximal gradient, Daubechies et al. 2004). With learning rate lr and gradient g, the two steps
together are

    w <- soft threshold of (w - lr g) by lr * strength

The soft threshold moves each weight towards zero by lr * strength, but not past zero.

Both steps treat each weight alone, so they need no communication with tensor parallelism. The penalty also
shrinks the kept weights. So fine-tune afterwards, with a mask of the kept weights and without the penalty.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.errors import ConfigError


def lasso_prox(weights: np.ndarray, amount: float, out: np.ndarray | None = None) -> np.ndarray:
    """Returns the soft threshold of each weight w: sign(w) max(|w| - amount, 0). This is the number u for
    which 1/2 (u - w)^2 + amount |u| is the smallest.

    weights: any shape. amount: lr * strength after a gradient step. out: the array to write to, which may be
    `weights`. Raises ConfigError for an amount that is negative or not finite.
    """
    if not 0 <= amount < np.inf:
        raise ConfigError(f"a soft threshold is a finite number >= 0; got {amount}")
    shrunk: np.ndarray = np.subtract(weights, np.clip(weights, -amount, amount), out=out)
    return shrunk


def lasso_gap(weights: np.ndarray, gradient: np.ndarray, strength: float) -> float:
    """Returns the largest violation of the condition for a minimum of loss + strength |w|_1. It is 0 at a
    minimum. gradient: the gradient of the loss at `weights`.

    The condition is g_i = -strength sign(w_i) if w_i != 0, and |g_i| <= strength if w_i = 0.
    """
    violation = np.where(weights != 0, abs(gradient + strength * np.sign(weights)),
                         np.maximum(abs(gradient) - strength, 0))
    return float(violation.max(initial=0.0))


def lasso(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, strength: float, rate: float, *,
          tolerance: float = 1e-9, steps: int = 100_000) -> np.ndarray:
    """Minimise loss + strength |w|_1 with proximal gradient steps from `start`. Stop when lasso_gap is at
    most `tolerance`, and return w.

    gradient: a function from w to the gradient of the loss. rate: the learning rate. It must be below 2 /
    (largest curvature of the loss). Raises ConfigError if `steps` steps do not reach the tolerance.
    """
    w = start
    for _ in range(steps):
        g = gradient(w)
        if lasso_gap(w, g, strength) <= tolerance:
            return w
        w = lasso_prox(w - rate * g, rate * strength)
    raise ConfigError(f"lasso: not at a minimum after {steps} steps with rate {rate}; choose one below 2 / "
                      "largest curvature")
