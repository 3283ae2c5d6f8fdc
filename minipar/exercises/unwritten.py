"""Marks memory that was never written, in the process that runs a submission.

np.empty returns what the memory held before. Often these are the right results of an earlier call, so that a
program with a wrong index passes by luck. Here np.empty and np.empty_like fill each number with bits of 1:
NaN as a float, -1 as an integer. Arithmetic keeps these bits in a NaN, so the grader can name the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = "fciu"                                                      # dtypes that are filled


def install() -> None:
    """From now on, np.empty and np.empty_like of this process mark their memory."""
    for name in ("empty", "empty_like"):
        setattr(np, name, marking(getattr(np, name)))


def marking(make: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def marked(*arguments: Any, **options: Any) -> np.ndarray:
        array = make(*arguments, **options)
        if array.dtype.kind in KINDS and array.size:
            array.fill(np.full(array.dtype.itemsize, 255, np.uint8).view(array.dtype)[0])
        return array

    return marked


def is_unwritten(array: np.ndarray) -> np.ndarray:
    """bool, of the same shape: the floats that still have the mark; False for all other dtypes."""
    if array.dtype.kind != "f" or not array.size:
        return np.zeros(array.shape, bool)
    bits = np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, array.dtype.itemsize)
    found: np.ndarray = (bits == 255).all(axis=-1)
    return found
