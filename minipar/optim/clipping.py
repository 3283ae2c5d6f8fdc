"""Clips gradients by the global norm (Pascanu, Mikolov and Bengio 2013)."""

# n: number of elements of the gradient

from __future__ import annotations

import math

import numpy as np

from minipar.arrays import refusal
from minipar.errors import ShapeError

BLOCK = 1 << 16


def squared_norm(gradient: np.ndarray) -> float:
    """Returns the sum of squares of a flat gradient [n]. The sums of blocks are added in double precision."""
    try:
        return math.fsum(_squares(gradient[i : i + BLOCK]) for i in range(0, len(gradient), BLOCK))
    except OverflowError:                                           # fsum raises if a sum becomes infinite
        return math.inf


def _squares(block: np.ndarray) -> float:
    """Returns the sum of squares of one block, computed in its own dtype. If the sum overflows or underflows,
    it is computed again in float64. In float32, squares overflow for values near 1e19, and underflow near
    1e-19.
    """
    with np.errstate(over="ignore", under="ignore"):
        total = float(np.dot(block, block))
    if block.itemsize >= 8 or 1e4 * float(np.finfo(block.dtype).tiny) < total < math.inf:
        return total
    wide = block.astype(np.float64)
    return float(np.dot(wide, wide))


def fits(squares: float) -> bool:
    """Returns True if a sum of squares is accurate: no square overflowed, and underflowed squares are
    negligible.
    """
    return 1e-280 < squares < math.inf


def norm_of(gradient: np.ndarray) -> float:
    """Returns the norm of a flat gradient [n]. Values are scaled first if their squares would overflow or
    underflow.
    """
    squares = squared_norm(gradient)
    if fits(squares) or not len(gradient):
        return math.sqrt(squares)
    largest = float(np.abs(gradient).max())
    if not 0 < largest < math.inf:
        return largest
    return largest * math.sqrt(squared_norm(gradient.astype(np.float64) / largest))


def clip(gradient: np.ndarray, norm: float, limit: float) -> None:
    """Scale a flat gradient [n] in place so that its norm is at most `limit`. norm: the norm of the gradient.
    """
    if norm > limit:
        factor = limit / norm
        if factor >= np.finfo(gradient.dtype).tiny:
            gradient *= factor
        else:  # the dtype has no accurate number for the factor, but it has one for the square root
            gradient *= math.sqrt(factor)
            gradient *= math.sqrt(factor)


def clip_by_global_norm(gradient: np.ndarray, limit: float) -> float:
    """Scale a flat gradient [n] in place so that its norm is at most `limit`. Returns the norm before
    scaling.
    """
    if text := refusal(gradient, "f"):
        raise ShapeError(f"clip_by_global_norm: needs an array of floats, not {text}")
    norm = norm_of(gradient)
    clip(gradient, norm, limit)
    return norm
