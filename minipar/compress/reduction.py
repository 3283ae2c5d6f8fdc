"""The type of a reduction over ranks, passed as an argument, since this package imports no communicator.

A reduction is a callable (array, op) -> the array reduced over all ranks of tp, the same on every rank; op is
"max" or "sum":

    lambda array, op: all_reduce(tp, array, op, label="...")

It returns a new array or its input. All ranks call it in the same order.
"""

from collections.abc import Callable

import numpy as np

Reduce = Callable[[np.ndarray, str], np.ndarray]


def single_process(array: np.ndarray, op: str) -> np.ndarray:
    """The reduction over one rank."""
    return array
