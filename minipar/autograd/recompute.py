"""Recomputation computes activations again in backward, instead of keeping them (Chen et al. 2016, "Training
deep nets with sublinear memory cost").

`recompute(function, *inputs)` is one op with one node. It runs the function twice:

1. In forward, the tape records nodes without formulas, so it keeps no arrays. The nodes show which parents
   outside the function get a gradient, and in which order. These parents become the parents of the one node.
2. In backward, the vjp of the one node runs the function again with formulas. The vjp walks the new tape, and
   delivers each gradient immediately.

Example: `recompute(lambda x: gelu(linear(x, w)), x)` for a leaf w. The first run makes two nodes without
arrays. The op that computed x and the leaf w get gradients. So the one node has the parents (op of x, w), and
it keeps x. The outputs of `linear` and `gelu` are freed.

Backward adds the same contributions in the same order as without recomputation. So every sum has the same
bits, weight gradients can be deferred, and a hook is called after the last use of its parameter. The second
run repeats the communication of the first run.
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


class _RecomputeMode(threading.local):  # one per thread, because ranks may be threads of one process
    again = False


_recompute_mode = _RecomputeMode()


def is_second_run() -> bool:
    """Returns True if this thread is in the second run of a recomputed function. Code that observes values
    calls it to count each value only once.
    """
    return _recompute_mode.again


def recompute(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Returns function(*inputs). The tape keeps only the inputs. Backward runs the function again with the
    same `casting`.

    The second run must use the same ops, random numbers and parameters as the first run. backward raises
    GraphError if the second run records other ops.
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
        nodes, since, replaced = _run_again(function, kept, rule)
        if [replaced.get(end, end) for end in _ends(nodes, since)] != ends:
            raise GraphError("recompute: the second run of the function recorded other ops; both runs must "
                             "be the same")
        # map is lazy: each gradient is delivered before the next one is computed
        return map(itemgetter(1), walk(nodes, g, since))

    result = Tensor(out.data)
    result.node = Node(tuple(ends), vjp)
    return result


def _run_again(function: Callable[..., Tensor], kept: Sequence[tuple[np.ndarray, TapeParent | None]],
               rule: Rule | None) -> tuple[list[Node], int, dict[TapeParent, TapeParent | None]]:
    """Run the function with formulas. Returns the nodes, a lower bound of the nodes' order numbers, and a
    table: new leaf -> the parent on the outer tape that the leaf replaces.

    The inputs become new leaves, so that `walk` stops there.
    """
    inputs = [Tensor(data, requires_grad=parent is not None) for data, parent in kept]
    began = next_order()
    with keeping(Tape.FORMULAS), casting(rule), _second_run():
        out = function(*inputs)
    return _inside(out, began), began, dict(zip(inputs, (parent for _, parent in kept), strict=True))


def _inside(out: Tensor, began: int) -> list[Node]:
    """Returns the nodes that `out` depends on and that were made since `began`, the oldest first."""
    return reachable(out.node, began) if out.node is not None and out.node.order >= began else []


def _ends(nodes: list[Node], began: int) -> list[TapeParent]:
    """Returns the parents outside these nodes that get a gradient, in the order of `walk`."""
    return [parent for node in reversed(nodes) for parent in node.parents if parent is not None
            and is_outside(parent, began)]


@contextmanager
def _second_run() -> Iterator[None]:
    before, _recompute_mode.again = _recompute_mode.again, True
    try:
        yield
    finally:
        _recompute_mode.again = before
