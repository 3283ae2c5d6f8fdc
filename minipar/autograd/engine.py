"""Backward: walk the tape from the newest op to the oldest and hand every gradient on.

Reverse creation order is a topological order (an op is younger than its inputs), it needs no recursion, and
it is the same on every run: additions happen in the same order, so gradients repeat to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from minipar.autograd.tensor import Contribution, Node, TapeParent, Tensor
from minipar.errors import GraphError, ShapeError


class Deferred:
    """Weight gradients put off until later: backward's second half (W), apart from its first (B).

    Pass one to `backward` and it computes the gradients of activations alone; `run()` then computes those of
    the weights. Zero-bubble pipelines (Qi et al. 2023) fill their idle time so. The arrays that the weight
    gradients need are held until then.
    """

    def __init__(self) -> None:
        self._work: list[tuple[_Leaves, Tensor, Contribution]] = []

    def __len__(self) -> int:
        return len(self._work)

    def add(self, leaves: _Leaves, leaf: Tensor, contribution: Contribution) -> None:
        self._work.append((leaves, leaf, contribution))

    def waiting(self) -> list[tuple[Tensor, Contribution]]:
        """What is put off: leaves, and what they are to get."""
        return [(leaf, contribution) for _, leaf, contribution in self._work]

    def run(self) -> None:
        """Compute everything that was put off, in the order in which backward met it."""
        work, self._work = self._work, []
        for leaves, leaf, contribution in work:
            leaves.deliver(leaf, contribution)


class _Leaves:
    """Counts how often each leaf is used, so that its hooks fire when its last contribution has arrived."""

    def __init__(self, nodes: list[Node]) -> None:
        self._missing = Counter(id(p) for node in nodes for p in node.parents if isinstance(p, Tensor))

    def deliver(self, leaf: Tensor, contribution: Contribution) -> None:
        leaf.accumulate(contribution)
        self._missing[id(leaf)] -= 1
        if not self._missing[id(leaf)]:
            for hook in leaf.hooks:
                assert leaf.grad is not None
                hook(leaf.grad)


def backward(output: Tensor, grad: np.ndarray | None = None, *, deferred: Deferred | None = None) -> None:
    """Add d(output . grad)/d(leaf) to the gradient of every leaf that `output` depends on, and use the tape
    up.

    grad: the gradient of `output`, of its shape and dtype; may be left out for a scalar. deferred: see
    Deferred. Raises GraphError where there is no tape, or where an earlier backward has used it up;
    ShapeError for a grad that does not fit.

    >>> import numpy as np, minipar as mp
    >>> x = mp.Tensor(np.array(3.0), requires_grad=True)
    >>> mp.backward(x * x + 2 * x)
    >>> x.grad                                                  # 2 x + 2
    array(8.)
    """
    if output.node is None:
        raise GraphError("backward: this tensor was not made by an op on a tensor that requires a gradient "
                         "(or inside no_grad)")
    gradient, nodes = _seed(output, grad), reachable(output.node)
    if any(node.vjp is None for node in nodes):
        raise GraphError("backward: an earlier backward has used this tape up; run the forward pass again")
    leaves = _Leaves(nodes)
    for leaf, contribution in walk(nodes, gradient):
        assert isinstance(leaf, Tensor), "the whole tape is walked: only leaves are outside"
        if deferred is not None:  # all of them, so that they add up in the same order
            deferred.add(leaves, leaf, contribution)
        else:
            leaves.deliver(leaf, contribution)
        del contribution                                            # see walk


def walk(nodes: list[Node], gradient: np.ndarray,
         since: int = 0) -> Iterator[tuple[TapeParent, Contribution]]:
    """Hand `gradient`, that of the last node, on through the nodes (see `reachable`), which are used up and
    popped.

    Yields (parent, contribution) for what goes to a leaf, or to a node that is older than `since`, in the
    order of backward.
    """
    gradients = {nodes[-1]: gradient}
    while nodes:
        node = nodes.pop()  # the youngest left; popping lets its memory go
        assert node.vjp is not None, "checked by backward"
        g = gradients.pop(node)
        for hook in node.hooks:
            hook(g)
        parents = iter(node.parents)  # not zip: it keeps hold of what it gave out last
        for contribution in node.vjp(g):
            parent = next(parents)
            if parent is not None and is_outside(parent, since):
                yield parent, contribution
            elif isinstance(parent, Node):
                gradients[parent] = _plus(gradients.get(parent), contribution)
            del contribution  # it may be the last to hold what its formula kept
        assert not list(parents), "one contribution per parent"
        node.vjp, node.parents = None, ()                           # free what the formula kept


def is_outside(parent: TapeParent, since: int) -> bool:
    """Whether it is a leaf, or a node that is older than `since`."""
    return isinstance(parent, Tensor) or parent.order < since


def _plus(gradient: np.ndarray | None, contribution: Contribution) -> np.ndarray:
    value = contribution(None) if callable(contribution) else contribution
    return value if gradient is None else gradient + value


def reachable(root: Node, since: int = 0) -> list[Node]:
    """All nodes that `root` depends on and that are not older than `since`, oldest first; `root` is the
    last.
    """
    seen, stack = {root}, [root]
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent.order >= since and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=lambda node: node.order)


def _seed(output: Tensor, grad: np.ndarray | None) -> np.ndarray:
    if grad is None:
        if output.data.size != 1:
            raise ShapeError(f"backward: an output of shape {output.shape} is no scalar; pass grad, an array "
                             "of that shape")
        return np.ones_like(output.data)
    if grad.shape != output.shape:
        raise ShapeError(f"backward: grad has shape {grad.shape}, the output {output.shape}")
    return grad.astype(output.dtype, copy=False)
