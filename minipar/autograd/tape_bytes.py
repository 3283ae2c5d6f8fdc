"""Counts the bytes that a tape holds. The code walks the tape and finds the arrays that the formulas of
backward keep.

`minipar.lessons.support.allocation` measures only the total memory in use. This module lists each array.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from minipar.autograd.engine import Deferred, reachable
from minipar.autograd.tensor import Tensor


def held_arrays(*holders: Tensor | Deferred) -> list[np.ndarray]:
    """Returns the arrays that backward from these outputs needs, each array once. A view counts as its whole
    array. The arrays of leaves (parameters) are left out.

    holders: outputs, for example of several micro-batches, or a Deferred with its weight gradients.
    """
    nodes = {node for out in holders if isinstance(out, Tensor) and out.node is not None
             for node in reachable(out.node)}
    waiting = [work for late in holders if isinstance(late, Deferred) for work in late.waiting()]
    leaves = {id(_whole(p.data)) for node in nodes for p in node.parents if isinstance(p, Tensor)}
    leaves |= {id(_whole(leaf.data)) for leaf, _ in waiting}
    formulas = [node.vjp for node in nodes] + [contribution for _, contribution in waiting]
    arrays = {id(_whole(array)): _whole(array) for formula in formulas for array in _inside(formula)}
    return [array for key, array in arrays.items() if key not in leaves]


def held_bytes(*holders: Tensor | Deferred) -> int:
    return sum(array.nbytes for array in held_arrays(*holders))


def _whole(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


# Functions that find the values inside an object that a formula keeps: type -> function.
LOOK: dict[type, Callable[[Any], Any]] = {
    types.FunctionType: lambda f: [cell.cell_contents for cell in f.__closure__ or ()],
    types.MethodType: lambda m: (m.__func__, m.__self__),
    partial: lambda p: (p.func, *p.args, *p.keywords.values()),
    Tensor: lambda t: (t.data,),
    list: iter, tuple: iter, dict: dict.values,
}


def _inside(value: Any) -> Iterator[np.ndarray]:
    """Yields the arrays in a value. Other objects (modules, communicators) do not belong to the tape, and are
    skipped.
    """
    if isinstance(value, np.ndarray):
        yield value
    elif (parts := _parts_of(type(value))) is not None:  # type: ignore[arg-type]
        for part in parts(value):
            yield from _inside(part)


@cache
def _parts_of(kind: type[object]) -> Callable[[Any], Any] | None:
    """Returns the entry of LOOK for a type or its base class, or None."""
    return next((parts for known, parts in LOOK.items() if issubclass(kind, known)), None)
