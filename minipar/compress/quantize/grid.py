"""Computes the scale and the zero-point for a range of values, and rounds values with them.

The scale and the zero-point define a grid: the values that the codes represent (see scheme.py).

A rounding has four steps: divide, round, shift and clip. They run block by block, so intermediate results
stay in the CPU's cache: the array is read once, and the codes are written once (benchmarks/compress.py
measures this).

A number halfway between two integers is rounded to the even one, like in NumPy: 0.5 -> 0, 1.5 -> 2. The error
of a value inside the range is at most s/2 (s is the scale), plus the rounding error of its float type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minipar.arrays import no_array
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import RangeError, ShapeError

BLOCK = 1 << 17  # elements; 512 KiB of float32 fit in the second-level cache


class Limits(NamedTuple):
    """The range of values that the codes cover, as one pair (low, high) per scale, with low <= 0 <= high.
    Both are float arrays of the shape `Scheme.scales`.
    """

    low: np.ndarray
    high: np.ndarray


class QuantizationGrid(NamedTuple):
    """The scales and zero-points: arrays of the shape `Scheme.scales`, with the dtype of the values. The
    zero-points are floats, but whole numbers.
    """

    scale: np.ndarray
    zero: np.ndarray


def floats(x: np.ndarray, name: str) -> np.ndarray:
    """Returns x, converted to float32 if its float dtype is narrower. Raises ShapeError for other dtypes."""
    if text := no_array(x):
        raise ShapeError(f"{name} is {text}", item=name)
    if x.dtype.kind != "f":
        raise ShapeError(f"{name} is {x.dtype}; only floats can be quantised", item=name)
    return x.astype(np.result_type(x, np.float32), copy=False)


def grid_over(limits: Limits, scheme: Scheme, name: str) -> QuantizationGrid:
    """Returns the finest grid whose codes cover the limits.

    For the range [0, 0], the scale is the smallest normal float, and 0 stays 0. name: the name of the array
    in messages. Raises RangeError if a limit is NaN or infinite, or so large that a neighbouring value of the
    grid can be infinite.
    """
    low, high = np.minimum(limits.low, 0), np.maximum(limits.high, 0)
    float_type = np.finfo(low.dtype)
    worst = np.maximum(-low, high).max(initial=0)
    if not worst <= float_type.max / 4:
        raise RangeError(f"{name} holds {worst:g}; only finite numbers below {float_type.max / 4:.2g} can be "
                         "quantised", item=name)
    if scheme.symmetric:
        scale = np.maximum(-low, high) / (scheme.high - scheme.middle)
    else:
        steps = scheme.high - scheme.low
        scale = high / steps - low / steps                          # high - low can overflow
    scale = np.maximum(scale, float_type.tiny)
    zero = np.full_like(scale, scheme.middle) if scheme.symmetric else np.rint(scheme.low - low / scale)
    return QuantizationGrid(scale, zero)


def encode(view: np.ndarray, grid: QuantizationGrid, scheme: Scheme) -> np.ndarray:
    """Returns the codes of values, with the same shape. view: the values in the shape `Scheme.view`. Values
    outside the range are clipped.
    """
    codes, shifted = np.empty(view.shape, scheme.dtype), grid.zero.any()
    with np.errstate(over="ignore"):  # far outside the range, x / s can be infinite; the clip corrects this
        for x, out, scale, zero in _blocks(grid, view, codes):
            steps = np.divide(x, scale)
            np.rint(steps, out=steps)
            if shifted:
                steps += zero
            np.clip(steps, scheme.low, scheme.high, out=steps)
            out[...] = steps
    return codes


def decode(codes: np.ndarray, grid: QuantizationGrid) -> np.ndarray:
    """Returns the values that the codes represent. codes: integers in the shape `Scheme.view`."""
    numbers = np.empty(codes.shape, grid.scale.dtype)
    for code, out, scale, zero in _blocks(grid, codes, numbers):
        np.subtract(code, zero, out=out)
        out *= scale
    return numbers


def nearest(view: np.ndarray, grid: QuantizationGrid, scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """Returns decode(encode(view)), and a bool array that is True where a value was not clipped."""
    numbers, inside = np.empty(view.shape, view.dtype), np.empty(view.shape, bool)  # in C order, see _blocks
    with np.errstate(over="ignore"):
        for x, out, kept, scale, zero in _blocks(grid, view, numbers, inside):
            steps = np.divide(x, scale)
            np.rint(steps, out=steps)
            steps += zero
            np.clip(steps, scheme.low, scheme.high, out=out)
            np.equal(steps, out, out=kept)
            out -= zero
            out *= scale
    return numbers, inside


def _blocks(grid: QuantizationGrid, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Splits arrays of the same shape into blocks along the first axis. Yields a block of each array, and
    then the scale and the zero-point for these blocks.

    The caller writes into some of the blocks. These arrays must be in C order. Otherwise `reshape` makes a
    copy, and the results are lost.
    """
    scale, zero = grid
    if scale.size == 1:                                             # one scale: any shape works
        arrays = tuple(array.reshape(-1) for array in arrays)
        scale, zero = scale.reshape(1), zero.reshape(1)
    length = len(arrays[0])
    rows = max(1, BLOCK * length // max(1, arrays[0].size))
    for start in range(0, length, rows):
        part = slice(start, start + rows)
        own = part if len(scale) > 1 else slice(None)
        yield *(array[part] for array in arrays), scale[own], zero[own]
