"""Computes GELU with one tanh. The forward pass also computes the slope dy/dx.

Let c = GELU_SCALE, a = GELU_CUBIC, u = c (x + a x^3), t = tanh u and s = (1 + t) / 2. Then

    y = x s        dy/dx = s + x/2 (1 - t^2) c (1 + 3 a x^2) = s + y (1 - t) c (1 + 3 a x^2)

because 1 - t^2 = 2 s (1 - t). The code passes over the array about a dozen times. This is slow if the array
is larger than the cache. So the code works block by block. The tape keeps the slope instead of x, so backward
is one multiplication.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.elementwise import GELU_CUBIC, GELU_SCALE
from minipar.autograd.tensor import Tensor, record

SATURATED = 16.0  # for larger |x|, tanh u is 1 or -1 in float64, too
BLOCK = 48 * 1024  # elements; five float32 arrays of this size fit in 1 MiB of cache


@castable
@capturable
def gelu(x: Tensor) -> Tensor:
    """Computes the tanh form of GELU for any shape. Its definition is `plain_gelu` in elementwise.py."""
    flat = np.ascontiguousarray(x.data).reshape(-1)
    y, slope = np.empty_like(flat), np.empty_like(flat)
    t, w = np.empty_like(flat[:BLOCK]), np.empty_like(flat[:BLOCK])
    overflows: list[str] = []
    with np.errstate(invalid="ignore", over="call", call=lambda kind, flag: overflows.append(kind)):
        for start in range(0, len(flat), BLOCK):
            block = slice(start, start + BLOCK)
            n = len(flat[block])
            _gelu_block(flat[block], y[block], slope[block], t[:n], w[:n])
    if overflows:
        _replace_large(flat, y, slope)
    slope = slope.reshape(x.shape)
    return record(y.reshape(x.shape), (x,), lambda g: (g * slope,))


def _replace_large(x: np.ndarray, y: np.ndarray, slope: np.ndarray) -> None:
    """Replace y and slope where x^2 or x^3 may overflow. There tanh u is 1 or -1 in every dtype, so y is x or
    -0, and the slope is 1 or 0.
    """
    large = np.abs(x) > SATURATED
    y[large] = np.where(x[large] > 0, x[large], -0.0)
    slope[large] = x[large] > 0


def _gelu_block(x: np.ndarray, y: np.ndarray, slope: np.ndarray, t: np.ndarray, w: np.ndarray) -> None:
    """Compute y and slope from x. t, w: scratch buffers."""
    np.multiply(x, x, out=w)
    w *= GELU_SCALE * GELU_CUBIC                                    # c a x^2
    np.add(w, GELU_SCALE, out=t)
    t *= x                                                          # u
    np.tanh(t, out=t)
    np.subtract(1, t, out=slope)                                    # 1 - t
    t *= 0.5
    t += 0.5                                                        # s
    np.multiply(x, t, out=y)
    slope *= y
    w *= 3
    w += GELU_SCALE                                                 # c (1 + 3 a x^2)
    slope *= w
    slope += t
