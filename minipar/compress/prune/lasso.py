"""LASSO (Tibshirani 1996): pruning by a penalty strength * |w|_1, which drives weights to exactly zero while
training.

The penalty has no gradient at zero, so a separate step follows the gradient step (proximal gradient,
Daubechies et al. 2004): with learning rate lr

    w <- soft threshold of (w - lr g) by lr * strength.

All steps are elementwise and need no communication under tensor parallelism. The penalty also shrinks the
weights that stay; so afterwards keep the mask, drop the penalty and fine-tune.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.errors import ConfigError


def lasso_prox(weights: np.ndarray, amount: float, out: np.ndarray | None = None) -> np.ndarray:
    """The soft threshold sign(w) max(|w| - amount, 0), which minimises 1/2 (u - w)^2 + amount |u| over u.

    weights: any shape. amount: lr * strength after a gradient step. out: the array to write to, which may be
    `weights`. Raises ConfigError for an amount that is negative or not finite.
    """
    if not 0 <= amount < np.inf:
        raise ConfigError(f"a soft threshold is a finite number >= 0; got {amount}")
    shrunk: np.ndarray = np.subtract(weights, np.clip(weights, -amount, amount), out=out)
    return shrunk


def lasso_gap(weights: np.ndarray, gradient: np.ndarray, strength: float) -> float:
    """The largest violation of the condition for a minimum of loss + strength |w|_1, given the loss's
    gradient at `weights`; 0 at a minimum.

    The condition: g_i = -strength sign(w_i) where w_i != 0, |g_i| <= strength where w_i = 0.
    """
    violation = np.where(weights != 0, abs(gradient + strength * np.sign(weights)),
                         np.maximum(abs(gradient) - strength, 0))
    return float(violation.max(initial=0.0))


def lasso(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, strength: float, rate: float, *,
          tolerance: float = 1e-9, steps: int = 100_000) -> np.ndarray:
    """Minimise loss + strength |w|_1 by proximal gradient, from `start`, until lasso_gap is at most
    `tolerance`.

    gradient: w -> the loss's gradient at w. rate: the learning rate, below 2 / largest curvature. Raises
    ConfigError if `steps` steps do not reach the tolerance.
    """
    w = start
    for _ in range(steps):
        g = gradient(w)
        if lasso_gap(w, g, strength) <= tolerance:
            return w
        w = lasso_prox(w - rate * g, rate * strength)
    raise ConfigError(f"lasso: not at a minimum after {steps} steps with rate {rate}; choose one below 2 / "
                      "largest curvature")
