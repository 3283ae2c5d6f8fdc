"""The tape: which op call came from which, in the order of their creation, and how a gradient passes each.

Every op records one Node (see `record` in tensor.py): the nodes of its inputs, and a `vjp` (vector-Jacobian
product) that turns the gradient of the output into the gradients of the inputs.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Union

import numpy as np

if TYPE_CHECKING:
    from minipar.autograd.tensor import Tensor

# Where a gradient goes: to the op that made the value, or to a leaf.
TapeParent = Union["Node", "Tensor"]
# What a vjp returns for each parent: the gradient, or a function that computes it (into `out`, where that is
# not None). Weight gradients are functions: they can write into the gradient buffer without a copy, and can
# be deferred.
Contribution = np.ndarray | Callable[[np.ndarray | None], np.ndarray]
Vjp = Callable[[np.ndarray], Iterable[Contribution]]
Hook = Callable[[np.ndarray], None]

_creation = itertools.count()


def next_order() -> int:
    """A number that is lower than the `order` of every node made from now on."""
    return next(_creation)


class Tape(IntEnum):
    """How much of an op the tape keeps."""

    NOTHING = 0
    NODES = 1  # which node came from which, and no arrays: see `recompute`
    FORMULAS = 2


class _TapeMode(threading.local):  # per thread: ranks may be threads of one process
    tape = Tape.FORMULAS


_tape_mode = _TapeMode()


def tape_now() -> Tape:
    """What the ops of this thread record."""
    return _tape_mode.tape


@contextmanager
def keeping(tape: Tape) -> Iterator[None]:
    """In the `with` block, the ops of this thread record that much."""
    before, _tape_mode.tape = _tape_mode.tape, tape
    try:
        yield
    finally:
        _tape_mode.tape = before


def no_grad() -> AbstractContextManager[None]:
    """In the `with` block, ops record nothing: for evaluation and generation."""
    return keeping(Tape.NOTHING)


class Node:
    """One op call on the tape. `order` counts creations, so that backward runs in one fixed order on every
    run.

    vjp: None where the tape keeps no formulas, and after backward.
    """

    __slots__ = ("order", "parents", "vjp", "hooks")

    def __init__(self, parents: tuple[TapeParent | None, ...], vjp: Vjp):
        self.order = next(_creation)
        self.parents = parents
        self.vjp: Vjp | None = vjp if _tape_mode.tape is Tape.FORMULAS else None
        self.hooks: list[Hook] = []
