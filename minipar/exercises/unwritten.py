"""Marks new arrays in the process that runs a submission, so that the grader recognises numbers
that were never written.

np.empty returns the old content of the memory. Often this is the right result of an earlier call. Then a
program with a wrong index passes by chance. Here np.empty and np.empty_like fill each number with bits of 1:
NaN as a float, -1 as an integer. Arithmetic with such a NaN returns a NaN with the same bits, so the grader
can name the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = "fciu"                                                      # dtypes that are filled


def install() -> None:
    """Make np.empty and np.empty_like of this process mark their memory from now on."""
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
    """Return a boolean array of the same shape: True for floats that still have the mark. It is all False for
    other dtypes.
    """
    if array.dtype.kind != "f" or not array.size:
        return np.zeros(array.shape, bool)
    bits = np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, array.dtype.itemsize)
    found: np.ndarray = (bits == 255).all(axis=-1)
    return found
