"""Checks the arguments of the formulas by name. Without these checks, a formula would return a number even
for a negative width.

A name has the same meaning in all of `plan`: p is a number of ranks, n is a number of elements or bytes,
`rank` is one rank, and the other names are sizes of a model.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from minipar.config import MOST_RANKS
from minipar.errors import LayoutError, shown
from minipar.records import is_number, is_whole

Function = TypeVar("Function", bound=Callable[..., Any])
LARGEST = 1 << 62
RANKS = {"p", "q", "tp", "dp", "parts", "stages"}                       # numbers of ranks, at least 1
SIZES = {"layers", "width", "heads", "length", "samples", "itemsize", "segment"}
FROM_ZERO = {"rank", "root", "v", "r", "in_flight", "parameters", "block"}     # whole numbers, at least 0
ROWS = {"counts", "send_counts"}                                    # lists of one number per rank


def checked(function: Function) -> Function:
    """Decorates a function so that its arguments are checked. The decorated function raises a LayoutError
    that names a wrong argument.

    In a formula that counts elements, n must be a whole number. In a formula that returns seconds, n may be
    any number of at least 0. A formula that returns seconds has the argument `net` or `within`.
    """
    names = list(inspect.signature(function).parameters)
    whole = "net" not in names and "within" not in names

    @wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        for name, value in given.items():
            _require(name, value, whole)
        for name in ("rank", "root"):
            if name in given and given.get("p", math.inf) <= given[name]:
                raise LayoutError(f"{name} is {given[name]}; with {given['p']} ranks the last one is "
                                  f"{given['p'] - 1}", item=name)
        return function(*args, **kwargs)

    return inner                                                    # type: ignore[return-value]


def _require(name: str, value: object, whole: bool) -> None:
    if name in RANKS | SIZES:
        require_whole(name, value, 1, MOST_RANKS if name in RANKS else LARGEST)
    elif name in FROM_ZERO or (name == "n" and whole):
        require_whole(name, value, 0, LARGEST)
    elif name == "n":
        require_amount(name, value)
    elif name in ROWS:
        require_row(name, value)


def require_row(name: str, value: object) -> None:
    """Raises LayoutError unless the value is a list of whole numbers of at least 0."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise LayoutError(f"{name} is {shown(value)}; it must be a list of whole numbers", item=name)
    for one in value:
        require_whole(name, one, 0, LARGEST)


def require_whole(name: str, value: object, least: int, most: int) -> None:
    """Raises LayoutError unless the value is a whole number from `least` to `most`."""
    if not is_whole(value) or not least <= value <= most:          # type: ignore[operator]
        raise LayoutError(f"{name} is {shown(value)}; it must be a whole number from {least} to {most:,}",
                          item=name)


def require_amount(name: str, value: object) -> None:
    """Raises LayoutError unless the value is a finite number of at least 0."""
    if not is_number(value) or not 0 <= value < math.inf:          # type: ignore[operator]
        raise LayoutError(f"{name} is {shown(value)}; it must be a number from 0 on", item=name)
