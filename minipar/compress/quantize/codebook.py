"""Defines nonlinear codes. The levels (the values of the codes) are closer together where many values are.

The course document 002 (4.1.2) applies a sigmoid and then quantises linearly. Decoding applies the logit,
which is the inverse of the sigmoid:

    u = sigmoid(k x),   q = round((u - low) / s),   x_hat = logit(low + q s) / k

low is the lower end of the range of u, and s the step. Without a gain k (k = 1), weights of size 0.02 use
about 12 of 256 levels. The gain k = 1/std is close to the best one. The document uses the whole range [0, 1]
of the sigmoid (`unit=True`). Then the first and the last code are decoded to -inf and inf. With the actual
range of u, all levels are finite. A second method uses quantiles as levels, so that all codes are used
equally often. lessons/08_nonlinear_quantisation.py measures both methods.

With tensor parallelism, each rank encodes its own shard with its own levels, without communication. To use
one gain for the whole weight, compute the mean of squares over tp, and pass the `gain` that follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minipar.compress.quantize.affine import require_finite
from minipar.compress.quantize.grid import floats
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import ConfigError


@dataclass(frozen=True)
class Coded:
    """An array that is stored as indices of levels. codes: unsigned integers with the array's shape. levels:
    floats [2 ** bits] in ascending order.
    """

    codes: np.ndarray
    levels: np.ndarray
    bits: int

    def dequantize(self) -> np.ndarray:
        values: np.ndarray = self.levels[self.codes]
        return values

    @property
    def nbytes(self) -> int:
        """The bytes of the packed codes and the table of levels."""
        return -(-self.codes.size * self.bits // 8) + self.levels.nbytes


def sigmoid_codes(x: np.ndarray, bits: int = 8, gain: float | None = None, *, unit: bool = False,
                  name: str = "the array") -> Coded:
    """Encode x, floats of any shape, with sigmoid codes of 2 to 16 bits. gain: k (see the top of this file).
    The default is 1 / (root mean square of x).

    unit: if true, the whole range [0, 1] of the sigmoid is used. Then x with |k x| > log(2 ** (bits + 1) - 3)
    is decoded to an infinity. Raises RangeError for NaN and infinity, ShapeError for other dtypes,
    ConfigError for an invalid number of bits and for a gain that is not positive.
    """
    x, dtype, top = _checked(x, bits, name)
    if gain is not None and not 0 < gain < np.inf:
        raise ConfigError(f"gain is {gain}; it must be a positive number", item="gain")
    k = gain or 1 / _size(x)
    if unit:
        low, high = 0.0, 1.0
    else:  # 0 and 1 have no logit, so the ends stay between them
        ends = _sigmoid(k * np.array([x.min(initial=0), x.max(initial=0)], np.float64))
        low, high = np.clip(ends, np.finfo(float).tiny, 1 - np.finfo(float).epsneg)
    step = max((high - low) / top, np.finfo(x.dtype).tiny)
    codes = np.clip(np.rint((_sigmoid(k * x) - low) / step), 0, top).astype(dtype)
    u = np.minimum(low + step * np.arange(top + 1), high)           # [levels]
    with np.errstate(divide="ignore"):                              # the infinities of `unit`
        levels = np.log(u) - np.log1p(-u)
    return Coded(codes, (levels / k).astype(x.dtype), bits)


def quantile_codes(x: np.ndarray, bits: int = 8, *, name: str = "the array") -> Coded:
    """Encode x, floats of any shape, with 2 ** bits levels. The sorted values are divided into 2 ** bits
    equal parts. Each level is the median of one part.

    A value gets the nearest level. Raises the errors of sigmoid_codes.
    """
    x, dtype, top = _checked(x, bits, name)
    shares = (np.arange(top + 1) + 0.5) / (top + 1)
    levels = np.quantile(x, shares).astype(x.dtype) if x.size else np.zeros(top + 1, x.dtype)
    middles = levels[:-1] + (levels[1:] - levels[:-1]) / 2
    return Coded(np.searchsorted(middles, x).astype(dtype), levels, bits)


def _checked(x: np.ndarray, bits: int, name: str) -> tuple[np.ndarray, np.dtype, int]:
    """Returns x as floats, the dtype of its codes, and the largest code."""
    scheme = Scheme(bits, symmetric=False, signed=False)
    x = floats(x, name)
    require_finite(x, name)
    return x, scheme.dtype, scheme.high


def _size(x: np.ndarray) -> float:
    """Returns the root mean square of x, but at least the smallest normal float. If all values are zero, it
    returns 1. Values are divided by the largest one before they are squared, so squares do not overflow.
    """
    largest = max(-x.min(initial=0), x.max(initial=0))
    return max(float(largest * np.sqrt(((x / largest) ** 2).mean())),
               float(np.finfo(x.dtype).tiny)) if largest else 1.0


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)
