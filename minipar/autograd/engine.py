"""Backward walks the tape from the newest op to the oldest, and passes each gradient to the op's inputs.

An op is newer than its inputs, so this order handles every op before its inputs. The order needs no
recursion, and it is the same in every run. So gradients are added in the same order, and are bitwise equal in
every run.

Example: y = x * x; z = y + x. The tape has the nodes 0 (`*`) and 1 (`+`). The gradient of z is 1.
`walk` takes the nodes in this order, and yields pairs of a leaf and a contribution to its gradient:

    node 1 (z):  the vjp gives 1 to y (node 0) and 1 to x; `walk` yields (x, 1), because x is a leaf
    node 0 (y):  the vjp gives the value of x to each of the two factors; `walk` yields (x, x) twice

so x.grad = 1 + 2 x.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from minipar.autograd.tape import Contribution, Node, TapeParent, Vjp
from minipar.autograd.tensor import Tensor
from minipar.errors import GraphError, ShapeError


class Deferred:
    """Holds weight gradients that are computed later. This later work is the second half of backward, called
    W. The first half is called B.

    With a Deferred, `backward` computes only the gradients of activations. `run()` computes the weight
    gradients later. Zero-bubble pipelines (Qi et al. 2023) call it when a rank would otherwise be idle. The
    arrays that the weight gradients need are kept until `run`.
    """

    def __init__(self) -> None:
        self._work: list[tuple[_Leaves, Tensor, Contribution]] = []

    def __len__(self) -> int:
        return len(self._work)

    def add(self, leaves: _Leaves, leaf: Tensor, contribution: Contribution) -> None:
        self._work.append((leaves, leaf, contribution))

    def waiting(self) -> list[tuple[Tensor, Contribution]]:
        """Returns the deferred work as pairs of a leaf and a contribution to its gradient."""
        return [(leaf, contribution) for _, leaf, contribution in self._work]

    def run(self) -> None:
        """Compute all deferred gradients in the order of backward."""
        work, self._work = self._work, []
        for leaves, leaf, contribution in work:
            leaves.deliver(leaf, contribution)


class _Leaves:
    """Counts the uses of each leaf. After the last contribution, the hooks of the leaf are called."""

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
    """Add d(output . grad)/d(leaf) to the gradient of every leaf that `output` depends on. The tape is freed,
    so it can be used only once.

    grad: the gradient of `output`, with its shape and dtype. It is optional for a scalar. deferred: see
    Deferred. Raises GraphError if there is no tape, or if an earlier backward has freed the tape. Raises
    ShapeError for a grad of another shape.

    >>> import numpy as np, minipar as mp
    >>> x = mp.Tensor(np.array(3.0), requires_grad=True)
    >>> mp.backward(x * x + 2 * x)
    >>> x.grad                                                  # 2 x + 2
    array(8.)
    """
    if output.node is None:
        raise GraphError("backward: this tensor was not made by an op on a tensor that requires a gradient, "
                         "or it was made inside no_grad")
    gradient, nodes = _seed(output, grad), reachable(output.node)
    if any(node.vjp is None for node in nodes):
        raise GraphError("backward: an earlier backward has already used this tape; run the forward pass "
                         "again", kind="used tape")
    leaves = _Leaves(nodes)
    for leaf, contribution in walk(nodes, gradient):
        assert isinstance(leaf, Tensor), "walk covers the whole tape, so it yields only leaves"
        if deferred is not None:  # for all leaves, so the additions have the same order as without `deferred`
            deferred.add(leaves, leaf, contribution)
        else:
            leaves.deliver(leaf, contribution)
        del contribution                                            # see walk


def walk(nodes: list[Node], gradient: np.ndarray,
         since: int = 0) -> Iterator[tuple[TapeParent, Contribution]]:
    """Pass the gradient through the nodes, from the newest to the oldest. gradient: the gradient of the last
    node. nodes: the list from `reachable`, the oldest first. The list is emptied, and the nodes are freed.

    Yields (parent, contribution) in the order of backward, for each parent that is a leaf or a node older
    than `since`.
    """
    gradients = {nodes[-1]: gradient}
    while nodes:
        node = nodes.pop()  # the newest remaining node; the list no longer refers to it
        assert node.vjp is not None, "checked by backward"
        g = gradients.pop(node)
        for hook in node.hooks:
            hook(g)
        number = 0  # not zip or enumerate, which keep a reference to their last item
        for contribution in contributions(node.vjp, g):
            if number == len(node.parents):
                raise GraphError("backward: the vjp of an op returns too many contributions; the op has "
                                 f"{number} inputs, and each of them needs one")
            parent, number = node.parents[number], number + 1
            if parent is not None and is_outside(parent, since):
                yield parent, contribution
            elif isinstance(parent, Node):
                gradients[parent] = _plus(gradients.get(parent), contribution)
            del contribution  # it may be the last reference to large arrays
        if missing := len(node.parents) - number:
            raise GraphError(f"backward: the vjp of an op returns {missing} too few contributions; each of "
                             "its inputs needs one")
        node.vjp, node.parents = None, ()                           # free the arrays that the vjp kept


def contributions(vjp: Vjp, gradient: np.ndarray) -> Iterable[Contribution]:
    """Returns what a vjp returns. Raises GraphError if it is an array or None instead of a tuple."""
    found = vjp(gradient)
    if found is None or isinstance(found, np.ndarray):
        what = "None" if found is None else "an array"
        raise GraphError(f"backward: the vjp of an op returns {what}; it must return a tuple with one "
                         "gradient for each input of the op, such as (gradient,)")
    return found


def is_outside(parent: TapeParent, since: int) -> bool:
    """Returns True if `parent` is a leaf, or a node that is older than `since`."""
    return isinstance(parent, Tensor) or parent.order < since


def _plus(gradient: np.ndarray | None, contribution: Contribution) -> np.ndarray:
    value = contribution(None) if callable(contribution) else contribution
    return value if gradient is None else gradient + value


def reachable(root: Node, since: int = 0) -> list[Node]:
    """Returns all nodes that `root` depends on and that are not older than `since`. The oldest is first,
    `root` is last.
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
            raise ShapeError(f"backward: an output of shape {output.shape} is not a scalar; pass grad, an "
                             "array of that shape")
        return np.ones_like(output.data)
    if grad.shape != output.shape:
        raise ShapeError(f"backward: grad has shape {grad.shape}, the output {output.shape}")
    return grad.astype(output.dtype, copy=False)
