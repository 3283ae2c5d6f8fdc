"""Products of the Hessian with a vector, exact to rounding, from one backward pass.

An analytic gradient can be asked for at a complex point: grad f(x + i h v) = grad f(x) + i h H v + O(h^2). The imaginary
part, divided by h, is H v; no difference is taken, so h may be 1e-20 and the error term vanishes below rounding (the
complex step: Squire and Trapp 1998). All ops of this package are analytic and take complex arrays, so it needs no code of
its own for second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minipar.autograd.engine import backward
from minipar.autograd.tensor import Tensor
from minipar.errors import ShapeError

STEP = 1e-20


def hessian_vector_product(function: Callable[[], Tensor], leaves: Sequence[Tensor],
                           vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """H v for the Hessian of a scalar function of the leaves (float64) and one vector per leaf, of its shape.

    function: takes nothing, uses the leaves, returns a scalar Tensor. The leaves end as they began. Raises ShapeError where a
    vector has another shape than its leaf.
    """
    for leaf, vector in zip(leaves, vectors, strict=True):
        if leaf.shape != vector.shape:
            raise ShapeError(f"hessian_vector_product: a vector of shape {vector.shape} for a leaf of shape {leaf.shape}")
    before = [(leaf.data, leaf.grad, leaf.grad_buffer) for leaf in leaves]
    try:
        for leaf, vector in zip(leaves, vectors, strict=True):
            leaf.data, leaf.grad, leaf.grad_buffer = leaf.data + STEP * 1j * vector, None, None
        backward(function())
        return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.imag / STEP for leaf in leaves]
    finally:
        for leaf, (data, grad, buffer) in zip(leaves, before, strict=True):
            leaf.data, leaf.grad, leaf.grad_buffer = data, grad, buffer
