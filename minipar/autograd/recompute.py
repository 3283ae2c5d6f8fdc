"""Recomputation: backward computes activations again, so that nobody keeps them (Chen et al. 2016, "Training
deep nets with sublinear memory cost").

`recompute(function, *inputs)` is an op like any other. Forward, it runs the function with a tape of bare
nodes: who came from whom, but no formula, hence no array. That tells which gradients will leave the function,
where to, and in which order. They become the parents of a single node. Its vjp runs the function a second
time, now with formulas, walks that tape, and hands on each gradient as it comes.

So backward meets the same contributions in the same order as without: every sum has the same bits, weight
gradients can be put off, and a parameter's hooks fire after its last use, inside or outside. The second run
communicates where the first one did.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter

import numpy as np

from minipar.autograd.autocast_hook import Rule, casting, rule_now
from minipar.autograd.engine import is_outside, reachable, walk
from minipar.autograd.tensor import (
    Contribution,
    Node,
    Tape,
    TapeParent,
    Tensor,
    keeping,
    next_order,
    tape_now,
)
from minipar.errors import GraphError


class _RecomputeMode(threading.local):  # per thread: ranks may be threads of one process
    again = False


_recompute_mode = _RecomputeMode()


def is_second_run() -> bool:
    """Whether this thread is inside a function that backward runs again: for observers that want to see each
    value once.
    """
    return _recompute_mode.again


def recompute(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), of which the tape keeps nothing but the inputs; backward runs the function again.

    The function must do the same when it runs again: the same ops, on parameters that nobody has changed
    meanwhile, with the same random numbers. backward raises GraphError where it records other ops. It runs
    under the same `casting`.
    """
    if tape_now() is Tape.NOTHING:
        return function(*inputs)
    began, rule = next_order(), rule_now()
    with keeping(Tape.NODES):
        out = function(*inputs)
    ends = _ends(_inside(out, began), began)
    if not ends:
        return out
    kept = [(x.data, x.tape_parent) for x in inputs]

    def vjp(g: np.ndarray) -> Iterator[Contribution]:
        nodes, since, stood_in_for = _run_again(function, kept, rule)
        if [stood_in_for.get(end, end) for end in _ends(nodes, since)] != ends:
            raise GraphError("recompute: when it ran again, the function recorded other ops; it must do the "
                             "same each time")
        # lazily: each is delivered before the next is computed
        return map(itemgetter(1), walk(nodes, g, since))

    result = Tensor(out.data)
    result.node = Node(tuple(ends), vjp)
    return result


def _run_again(function: Callable[..., Tensor], kept: Sequence[tuple[np.ndarray, TapeParent | None]],
               rule: Rule | None) -> tuple[list[Node], int, dict[TapeParent, TapeParent | None]]:
    """The nodes of a second run, when they began, and what on the tape its inputs stand in for.

    The inputs are leaves of their own: backward shall not go on beyond them before it has left the function.
    """
    inputs = [Tensor(data, requires_grad=parent is not None) for data, parent in kept]
    began = next_order()
    with keeping(Tape.FORMULAS), casting(rule), _second_run():
        out = function(*inputs)
    return _inside(out, began), began, dict(zip(inputs, (parent for _, parent in kept), strict=True))


def _inside(out: Tensor, began: int) -> list[Node]:
    """The nodes that `out` depends on and that were made since `began`, oldest first."""
    return reachable(out.node, began) if out.node is not None and out.node.order >= began else []


def _ends(nodes: list[Node], began: int) -> list[TapeParent]:
    """Where gradients go that leave these nodes, in the order of backward: see `walk`."""
    return [parent for node in reversed(nodes) for parent in node.parents if parent is not None
            and is_outside(parent, began)]


@contextmanager
def _second_run() -> Iterator[None]:
    before, _recompute_mode.again = _recompute_mode.again, True
    try:
        yield
    finally:
        _recompute_mode.again = before
