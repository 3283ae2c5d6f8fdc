"""The tape records op calls in the order of their creation, and the formulas of their gradients.

Every op records one Node (see `record` in tensor.py). A Node refers to the nodes of the op's inputs. It also
has a `vjp` (vector-Jacobian product) that computes the gradients of the inputs from the gradient of the
output.
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

# The receiver of a gradient: the op that computed the value, or a leaf.
TapeParent = Union["Node", "Tensor"]
# The result of a vjp for one parent: the gradient, or a function that computes the gradient (into `out`, if
# it is not None). Weight gradients are functions. So they can write into the gradient buffer without a copy,
# and can be deferred.
Contribution = np.ndarray | Callable[[np.ndarray | None], np.ndarray]
Vjp = Callable[[np.ndarray], Iterable[Contribution]]
Hook = Callable[[np.ndarray], None]

_creation = itertools.count()


def next_order() -> int:
    """Returns a number that is lower than the `order` of every later node."""
    return next(_creation)


class Tape(IntEnum):
    """The levels of recording: how much data the tape keeps for each op."""

    NOTHING = 0
    NODES = 1  # nodes and their parents, but no arrays; see `recompute`
    FORMULAS = 2


class _TapeMode(threading.local):  # one per thread, because ranks may be threads of one process
    tape = Tape.FORMULAS


_tape_mode = _TapeMode()


def tape_now() -> Tape:
    """Returns the level at which the ops of this thread record."""
    return _tape_mode.tape


@contextmanager
def keeping(tape: Tape) -> Iterator[None]:
    """Sets the level of recording for the ops of this thread in the `with` block."""
    before, _tape_mode.tape = _tape_mode.tape, tape
    try:
        yield
    finally:
        _tape_mode.tape = before


def no_grad() -> AbstractContextManager[None]:
    """Stops recording in the `with` block. Evaluation and generation need no tape."""
    return keeping(Tape.NOTHING)


class Node:
    """Records one op call on the tape. order: the node's number in the order of creation. Backward uses this
    number, so the order of backward is the same in every run.

    vjp: None if the tape keeps no formulas, and after backward.
    """

    __slots__ = ("order", "parents", "vjp", "hooks")

    def __init__(self, parents: tuple[TapeParent | None, ...], vjp: Vjp):
        self.order = next(_creation)
        self.parents = parents
        self.vjp: Vjp | None = vjp if _tape_mode.tape is Tape.FORMULAS else None
        self.hooks: list[Hook] = []
