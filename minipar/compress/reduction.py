"""Numbers that several ranks have a part of: how this floor, which knows no communicator, is told to put them
together.

A reduction is a callable (array, op) -> the same over all ranks of tp, on every one of them; op is "max" or
"sum":

    lambda array, op: all_reduce(tp, array, op, label="...")

It returns a new array or its input, and all ranks call it in the same order.
"""

from collections.abc import Callable

import numpy as np

Reduce = Callable[[np.ndarray, str], np.ndarray]


def single_process(array: np.ndarray, op: str) -> np.ndarray:
    """The reduction over one rank."""
    return array
