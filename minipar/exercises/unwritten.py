"""Marks the elements of new arrays, so that the grader recognises elements that were never written.

Normally, np.empty returns old content of the memory. This is often the right result of an earlier call, so a
program with a wrong index passes by chance. In the student's process, np.empty and np.empty_like therefore
set all bits of each number to 1: a float is then NaN, an integer -1. Arithmetic with such a NaN returns a NaN
with the same bits, so the grader can still recognise it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

KINDS = "fciu"                                                      # kinds of dtypes that are filled


def install() -> None:
    """From now on, make np.empty and np.empty_like mark the elements of their arrays."""
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
    """Return a boolean array of the same shape. It is True for floats that still have the mark. For other
    dtypes it is False everywhere.
    """
    if array.dtype.kind != "f" or not array.size:
        return np.zeros(array.shape, bool)
    bits = np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, array.dtype.itemsize)
    found: np.ndarray = (bits == 255).all(axis=-1)
    return found
