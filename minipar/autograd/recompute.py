"""Recomputation: backward computes activations again, instead of keeping them (Chen et al. 2016, "Training
deep nets with sublinear memory cost").

`recompute(function, *inputs)` is one op with one node. It runs the function twice:

1. Forward: the tape records nodes, but no formulas, so it keeps no arrays. From these nodes it follows which
   gradients will leave the function, to which parents, and in which order. These parents become the parents
   of the one node.
2. Backward: the vjp of that node runs the function again, now with formulas, walks the new tape, and passes
   on each gradient as soon as it is computed.

Example: `recompute(lambda x: gelu(linear(x, w)), x)` for a leaf w. The first run makes two nodes without
arrays. The gradients that leave go to w and to the op that made x. So the one node has the parents (x's op,
w), and keeps x. The outputs of `linear` and `gelu` are freed.

Backward adds the same contributions in the same order as it does without recomputation. So every sum has the
same bits, weight gradients can be deferred, and a hook fires after the last use of its parameter. The second
run repeats the communication of the first one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter

import numpy as np

from minipar.autograd.autocast_hook import Rule, casting, rule_now
from minipar.autograd.engine import is_outside, reachable, walk
from minipar.autograd.tape import Contribution, Node, Tape, TapeParent, keeping, next_order, tape_now
from minipar.autograd.tensor import Tensor
from minipar.errors import GraphError


class _RecomputeMode(threading.local):  # per thread: ranks may be threads of one process
    again = False


_recompute_mode = _RecomputeMode()


def is_second_run() -> bool:
    """Whether this thread is in the second run of a recomputed function. For observers that count each value
    once.
    """
    return _recompute_mode.again


def recompute(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs). The tape keeps only the inputs; backward runs the function again, under the same
    `casting`.

    The second run must do the same as the first: the same ops and random numbers, on unchanged parameters.
    backward raises GraphError if the second run records other ops.
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
    """Run the function with formulas. Returns its nodes, the order number at which they begin, and a table:
    new leaf -> the parent on the outer tape that it stands for.

    The inputs become new leaves, so that `walk` stops at them.
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
    """The parents outside these nodes that get a gradient, in the order of backward: see `walk`."""
    return [parent for node in reversed(nodes) for parent in node.parents if parent is not None
            and is_outside(parent, began)]


@contextmanager
def _second_run() -> Iterator[None]:
    before, _recompute_mode.again = _recompute_mode.again, True
    try:
        yield
    finally:
        _recompute_mode.again = before
