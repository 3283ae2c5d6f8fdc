"""From a range to scale and zero-point, and the rounding of numbers onto that grid.

The four steps of a rounding (divide, round, shift, clip) go over the array block by block, so that what lies
between them stays in the cache: the array is read once and the codes are written once (measured by
benchmarks/compress.py).

Halves round to even, as NumPy does: 0.5 -> 0, 1.5 -> 2. A number inside the range is off by at most s/2, and
by the rounding of its own float type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minipar.arrays import no_array
from minipar.compress.quantize.scheme import Scheme
from minipar.errors import RangeError, ShapeError

BLOCK = 1 << 17  # elements: 512 KiB of float32, in the second-level cache


class Limits(NamedTuple):
    """The ends of the range to cover, one pair per scale: float arrays of the shape `Scheme.scales`, with 0
    between them.
    """

    low: np.ndarray
    high: np.ndarray


class QuantizationGrid(NamedTuple):
    """Scale and zero-point, arrays of the shape `Scheme.scales`, of the dtype of the numbers; zero-points are
    whole numbers.
    """

    scale: np.ndarray
    zero: np.ndarray


def floats(x: np.ndarray, name: str) -> np.ndarray:
    """x, in float32 if it is of a narrower float dtype. Raises ShapeError for other dtypes."""
    if text := no_array(x):
        raise ShapeError(f"{name} is {text}", item=name)
    if x.dtype.kind != "f":
        raise ShapeError(f"{name} is {x.dtype}; only floats can be quantised", item=name)
    return x.astype(np.result_type(x, np.float32), copy=False)


def grid_over(limits: Limits, scheme: Scheme, name: str) -> QuantizationGrid:
    """The grid whose codes just cover the limits.

    A range of nothing but 0 gets the smallest scale there is, and 0 stays 0. Raises RangeError, with `name`,
    where a limit is NaN or infinite, or so large that a neighbour on the grid could be.
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
        scale = high / steps - low / steps                          # high - low itself could overflow
    scale = np.maximum(scale, float_type.tiny)
    zero = np.full_like(scale, scheme.middle) if scheme.symmetric else np.rint(scheme.low - low / scale)
    return QuantizationGrid(scale, zero)


def encode(view: np.ndarray, grid: QuantizationGrid, scheme: Scheme) -> np.ndarray:
    """The codes [as view] of numbers in the shape `Scheme.view`; what lies outside the range gets the code of
    its end.
    """
    codes, shifted = np.empty(view.shape, scheme.dtype), grid.zero.any()
    with np.errstate(over="ignore"):  # far outside the range x / s may be infinite, then clipped
        for x, out, scale, zero in _blocks(grid, view, codes):
            steps = np.divide(x, scale)
            np.rint(steps, out=steps)
            if shifted:
                steps += zero
            np.clip(steps, scheme.low, scheme.high, out=steps)
            out[...] = steps
    return codes


def decode(codes: np.ndarray, grid: QuantizationGrid) -> np.ndarray:
    """The numbers that codes, in the shape `Scheme.view`, stand for."""
    numbers = np.empty(codes.shape, grid.scale.dtype)
    for code, out, scale, zero in _blocks(grid, codes, numbers):
        np.subtract(code, zero, out=out)
        out *= scale
    return numbers


def nearest(view: np.ndarray, grid: QuantizationGrid, scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """decode(encode(view)), and where nothing was clipped (bool), both in the shape of the view."""
    numbers, inside = np.empty(view.shape, view.dtype), np.empty(view.shape, bool)  # in C order: see _blocks
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
    """Parts of arrays of one shape, along the first axis, followed by their part of scale and zero-point.

    Those that are to be written to must be in C order: of another one, only a copy can be made flat.
    """
    scale, zero = grid
    if scale.size == 1:                                             # then the shape does not matter
        arrays = tuple(array.reshape(-1) for array in arrays)
        scale, zero = scale.reshape(1), zero.reshape(1)
    length = len(arrays[0])
    rows = max(1, BLOCK * length // max(1, arrays[0].size))
    for start in range(0, length, rows):
        part = slice(start, start + rows)
        own = part if len(scale) > 1 else slice(None)
        yield *(array[part] for array in arrays), scale[own], zero[own]
