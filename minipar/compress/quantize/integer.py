"""Computes exact products of integer matrices at the speed of floating point.

An element of an int8 product is a sum of K terms of up to 127 x 127. A 16-bit sum overflows for K = 3
(127 x 127 x 3 = 48,387). A 32-bit sum is exact up to K = 133,144. NumPy has no fast product of integers, but
BLAS multiplies matrices of floats fast. A sum of integers as floats is exact in any order, if each
partial sum fits into the significand of the float:

    K max|a| max|b| <= 2^24  in float32,   <= 2^53  in float64

For int8 codes from -127 to 127, float32 is exact up to K = 1,040. A longer sum is split into pieces that are
exact.
"""

from __future__ import annotations

import numpy as np

from minipar.compress.quantize.affine import Quantized
from minipar.errors import ConfigError, RangeError, ShapeError

INT32_MAX = 2**31 - 1
EXACT_FLOAT32 = 2**24
SHORTEST = 256  # shortest piece; with shorter pieces, one float64 product is faster


def integer_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the exact product a [n, K] @ b [K, m], int32 [n, m]. a, b: integers of any dtype.

    Raises RangeError if K max|a| max|b| overflows 32 bits, and ShapeError if K differs or a dtype is not
    integer.
    """
    if (
        a.ndim != 2
        or b.ndim != 2
        or a.shape[1] != b.shape[0]
        or a.dtype.kind not in "iu"
        or b.dtype.kind not in "iu"
    ):
        raise ShapeError(f"integer product of {a.dtype} {a.shape} and {b.dtype} {b.shape}: needs integers "
                         "[n, K] @ [K, m]")
    K, largest = a.shape[1], max(1, _largest(a) * _largest(b))
    if K * largest > INT32_MAX:
        raise RangeError(f"a sum of {K} products of up to {largest} may overflow 32 bits; "
                         f"use fewer bits, or split it into sums of at most {INT32_MAX // largest}")
    piece = EXACT_FLOAT32 // largest
    if piece < min(K, SHORTEST):
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int32)
    total = np.zeros((a.shape[0], b.shape[1]), np.int32)
    for start in range(0, K, piece):
        part = slice(start, start + piece)
        total += (a[:, part].astype(np.float32) @ b[part].astype(np.float32)).astype(np.int32)
    return total


def _largest(x: np.ndarray) -> int:
    return max(-int(x.min(initial=0)), int(x.max(initial=0)))


def integer_linear(x: Quantized, weight: Quantized) -> np.ndarray:
    """Returns x [n, I] times weight [I, O] as floats [n, O]. The codes are multiplied and added as integers.

    The scales are multiplied after the sum over inputs, or after each group of inputs. x can have one scale
    per row. The weight can have one scale per column and group. Raises ConfigError for other schemes.
    """
    if x.scheme.axis not in (None, 0, -2) or x.scheme.group or weight.scheme.axis not in (None, 1, -1):
        raise ConfigError("an integer product sums over inputs, which must share their scales: quantise x by "
                          "rows (axis=0) and "
                          "the weight by columns (axis=1), or each as a whole", item="axis")
    inputs, outputs = weight.shape
    group = weight.scheme.group or max(inputs, 1)
    scales = weight.grid.scale.reshape(-1, 1, weight.grid.scale.shape[-1])      # [groups, 1, O or 1]
    a, b = x.centred_codes(), weight.centred_codes()
    y = np.zeros((x.shape[0], outputs), weight.grid.scale.dtype)
    for start, scale in zip(range(0, max(inputs, 1), group), scales, strict=True):
        part = slice(start, start + group)
        y += integer_matmul(a[:, part], b[part]) * scale            # [n, O]
    y *= x.grid.scale
    return y
