"""Products of the Hessian with a vector, exact to rounding, from one backward pass.

An analytic gradient can be computed at a complex point: grad f(x + i h v) = grad f(x) + i h H v + O(h^2). The
imaginary part, divided by h, is H v. No difference of two numbers is taken, so h may be 1e-20, and the error
term is below rounding (the complex step: Squire and Trapp 1998). All ops of this package are analytic and
take complex arrays, so no other code for second derivatives is needed.

Example: f(x) = x^3, so grad f = 3 x^2. At x = 2 + 1e-20 i the gradient is 12 + 12e-20 i: H v = 12 for v = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minipar.autograd.engine import _seed, reachable, walk
from minipar.autograd.tape import Tape, keeping
from minipar.autograd.tensor import Tensor
from minipar.errors import GraphError, ShapeError

H = 1e-20


def hessian_vector_product(function: Callable[[], Tensor], leaves: Sequence[Tensor],
                           vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """H v for the Hessian of a scalar function of the leaves (float64) and one vector per leaf, of its shape.

    function: takes nothing, uses the leaves, returns a scalar Tensor; called twice. Other leaves that it uses
    count as constants. All leaves end as they began, and none of their hooks is called. Raises ShapeError
    if a vector has another shape than its leaf, GraphError if the function uses no leaf.
    """
    for leaf, vector in zip(leaves, vectors, strict=True):
        if leaf.shape != vector.shape:
            raise ShapeError(f"hessian_vector_product: a vector of shape {vector.shape} for a leaf of shape "
                             f"{leaf.shape}")
    moves = {leaf: np.zeros(leaf.shape)
             for leaf in _leaves(function)} | dict(zip(leaves, vectors, strict=True))
    before = [(leaf, leaf.data, leaf.grad, leaf.grad_buffer) for leaf in moves]
    try:
        for leaf, move in moves.items():  # all become complex: ops add one to another in place
            leaf.data, leaf.grad, leaf.grad_buffer = leaf.data + H * 1j * move, None, None
        output = function()
        assert output.node is not None, "it has leaves"
        for parent, contribution in walk(reachable(output.node), _seed(output, None)):
            assert isinstance(parent, Tensor), "the whole tape is walked: only leaves are outside"
            if parent in leaves:
                parent.accumulate(contribution)
        return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.imag / H for leaf in leaves]
    finally:
        for leaf, data, grad, buffer in before:
            leaf.data, leaf.grad, leaf.grad_buffer = data, grad, buffer


def _leaves(function: Callable[[], Tensor]) -> list[Tensor]:
    """All leaves that a function uses."""
    with keeping(Tape.NODES):
        root = function().node
    if root is None:
        raise GraphError("hessian_vector_product: the function uses no leaf that requires a gradient")
    return [leaf for node in reachable(root) for leaf in node.parents if isinstance(leaf, Tensor)]
