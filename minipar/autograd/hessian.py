"""Computes the product of the Hessian and a vector with one backward pass. The result is exact except for
rounding.

An analytic gradient can be computed at a complex point: grad f(x + i h v) = grad f(x) + i h H v + O(h^2). The
imaginary part, divided by h, is H v. The method does not subtract two nearly equal numbers. So h can be
1e-20, and the term O(h^2) is smaller than rounding errors (complex step, Squire and Trapp 1998). All ops of
this package are analytic and accept complex arrays, so no other code for second derivatives is needed.

Example: f(x) = x^3, so grad f = 3 x^2. At x = 2 + 1e-20 i the gradient is 12 + 12e-20 i. So H v = 12 for v =
1.
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
    """Returns H v, where H is the Hessian of a scalar function. leaves: float64. vectors: one vector per
    leaf, with the shape of the leaf.

    function: has no arguments, uses the leaves, and returns a scalar Tensor. It is called twice. Other leaves
    that the function uses count as constants. The leaves do not change, and their hooks are not called.
    Raises ShapeError if a vector has another shape than its leaf, and GraphError if the function uses no
    leaf.
    """
    for leaf, vector in zip(leaves, vectors, strict=True):
        if leaf.shape != vector.shape:
            raise ShapeError(f"hessian_vector_product: a vector of shape {vector.shape} for a leaf of shape "
                             f"{leaf.shape}")
    moves = {leaf: np.zeros(leaf.shape)
             for leaf in _leaves(function)} | dict(zip(leaves, vectors, strict=True))
    before = [(leaf, leaf.data, leaf.grad, leaf.grad_buffer) for leaf in moves]
    try:
        for leaf, move in moves.items():  # all leaves become complex: an op may add one to another in place
            leaf.data, leaf.grad, leaf.grad_buffer = leaf.data + H * 1j * move, None, None
        output = function()
        assert output.node is not None, "it has leaves"
        for parent, contribution in walk(reachable(output.node), _seed(output, None)):
            assert isinstance(parent, Tensor), "walk covers the whole tape, so it yields only leaves"
            if parent in leaves:
                parent.accumulate(contribution)
        return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.imag / H for leaf in leaves]
    finally:
        for leaf, data, grad, buffer in before:
            leaf.data, leaf.grad, leaf.grad_buffer = data, grad, buffer


def _leaves(function: Callable[[], Tensor]) -> list[Tensor]:
    """Returns all leaves that a function uses."""
    with keeping(Tape.NODES):
        root = function().node
    if root is None:
        raise GraphError("hessian_vector_product: the function uses no leaf that requires a gradient")
    return [leaf for node in reachable(root) for leaf in node.parents if isinstance(leaf, Tensor)]
