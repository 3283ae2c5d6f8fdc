"""Checks arguments that must be whole numbers: ranks, tags, roots."""

from __future__ import annotations

from typing import Any

from minipar.comm.protocol import is_whole


def whole(number: Any, name: str) -> int:
    """Returns a rank, tag or root as an int. As in mpi4py, 1.0 is accepted as 1. Raises TypeError for other
    types.
    """
    if is_whole(number):
        return int(number)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    raise TypeError(f"a {name} is a whole number, not {number!r}; divide with //")
