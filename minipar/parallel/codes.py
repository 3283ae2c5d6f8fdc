"""Rounds gradients to short codes: one byte or one bit per number, and one scale per array.

    int8    round(v / scale), a number from -127 to 127; scale = max |v| / 127
    1bit    the sign of v, which is decoded as + scale or - scale; scale = mean |v| (Seide et al. 2014, "1-bit
            stochastic gradient descent and its application to data-parallel distributed training of speech
            DNNs")

A coded array has the dtype uint8. First come the bytes of the scale, which has the dtype of the values. Then
come the codes of the values. Example: [3, -1, 0] as "1bit" has the scale 4/3 and the bits 1 0 1, and is
decoded as [4/3, -4/3, 4/3].
"""

# n: number of values

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Code(NamedTuple):
    """Defines a code for arrays. scale: a function from an array [n] to its scale. pack: a function that
    takes the values divided by the scale, and returns their codes in size(n) bytes. unpack: the inverse
    function, which also takes n. size: a function from n to the number of bytes of n codes.
    """

    scale: Callable[[np.ndarray], float]
    pack: Callable[[np.ndarray], np.ndarray]
    unpack: Callable[[np.ndarray, int], np.ndarray]
    size: Callable[[int], int]

    def nbytes(self, n: int, dtype: np.dtype) -> int:
        """Returns the bytes of a coded array of n values.

        >>> CODES["1bit"].nbytes(100, np.dtype(np.float32))          # a scale of 4 bytes, and 100 bits
        17
        """
        return dtype.itemsize + self.size(n)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Encodes floats [n] as uint8 [nbytes(n)]. If a value is not finite, all values are decoded as NaN.
        """
        scale = values.dtype.type(self.scale(values) if len(values) else 0)
        numbers = self.pack(np.divide(values, scale, out=np.zeros_like(values), where=scale > 0))
        return np.concatenate([np.array([scale]).view(np.uint8), numbers.view(np.uint8)])

    def decode(self, coded: np.ndarray, n: int, dtype: np.dtype) -> np.ndarray:
        """Decodes n values of this dtype. They are the rounded values of the array given to `encode`."""
        scale = coded[:dtype.itemsize].copy().view(dtype)[0]
        values: np.ndarray = self.unpack(coded[dtype.itemsize:], n).astype(dtype) * scale
        return values


def _step(values: np.ndarray) -> float:
    """Returns max |values| / 127. Near the end of the dtype's range, rounding can make 127 steps infinite.
    Then the next smaller number is returned.
    """
    step = np.abs(values).max() / 127
    with np.errstate(over="ignore"):
        fits = np.isfinite(127 * step)
    return float(step if fits or not np.isfinite(step) else np.nextafter(step, step.dtype.type(0)))


def _mean_size(values: np.ndarray) -> float:
    """Returns the mean of |values|, or NaN if a value is not finite. The sum may overflow although the mean
    does not; then the values are divided before they are added.
    """
    sizes = np.abs(values)
    with np.errstate(over="ignore"):
        mean = float(sizes.mean())
    if math.isfinite(mean):
        return mean
    if not np.isfinite(sizes).all():
        return math.nan
    with np.errstate(over="ignore"):  # rounding may carry the mean beyond the largest value
        return float(min((sizes / len(sizes)).sum(), sizes.max()))


def _signs(bits: np.ndarray, n: int) -> np.ndarray:
    return 2 * np.unpackbits(bits, count=n).astype(np.int8) - 1


CODES: dict[str, Code] = {
    "int8": Code(scale=_step,
                 pack=lambda numbers: np.rint(numbers).astype(np.int8),
                 unpack=lambda raw, n: raw.view(np.int8), size=lambda n: n),
    "1bit": Code(scale=_mean_size, pack=lambda numbers: np.packbits(numbers >= 0),
                 unpack=_signs, size=lambda n: -(-n // 8)),
}
