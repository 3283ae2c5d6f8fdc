"""Computes the linear layer y = x W + b.

Let g be the gradient of y. All axes except the last are flattened, so x, y and g are matrices. Then

    dx = g W^T        dW = x^T g        db = column sums of g

The vjp returns dW and db as functions with an argument `out`. So these functions can write directly into the
gradient buffer, and backward can call them later (see Deferred in engine.py).
"""

# I: number of inputs, O: number of outputs

from __future__ import annotations

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.fused.kernels import column_sum
from minipar.autograd.tape import Contribution
from minipar.autograd.tensor import Tensor, record
from minipar.errors import ShapeError


def plain_linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Defines `linear` by small ops."""
    y = x @ w
    return y if b is None else y + b


@castable
@capturable
def linear(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Returns x [..., I] @ w [I, O] + b [O] with shape [..., O], computed as one two-dimensional product.
    Raises ShapeError if I or O differ.
    """
    if w.ndim != 2 or x.shape[-1:] != w.shape[:1] or (b is not None and b.shape != w.shape[1:]):
        raise ShapeError(f"linear: x {x.shape}, w {w.shape}{f', b {b.shape}' if b else ''}; needs [..., I] @ "
                         "[I, O] + [O]")
    x_shape, weight = x.shape, w.data
    rows = x.data.reshape(-1, weight.shape[0])                      # [n, I]
    y = rows @ weight                                               # [n, O]
    if b is not None:
        y += b.data

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        g = g.reshape(-1, weight.shape[1])                          # [n, O]
        dx = (g @ weight.T).reshape(x_shape)
        dw = lambda out: np.matmul(rows.T, g, out=out)              # noqa: E731
        return (dx, dw) if b is None else (dx, dw, lambda out: column_sum(g, out))

    return record(y.reshape(*x_shape[:-1], weight.shape[1]), (x, w) if b is None else (x, w, b), vjp)


@castable
@capturable
def add_bias(x: Tensor, b: Tensor | None, residual: Tensor | None = None) -> Tensor:
    """Returns x [..., O] + b [O] + residual [..., O] in one new array. A row-parallel layer calls it after
    the sum over ranks.

    Raises ShapeError for other shapes.
    """
    if (b is not None and b.shape != x.shape[-1:]) or (residual is not None and residual.shape != x.shape):
        raise ShapeError(f"add_bias: x {x.shape}, b {b and b.shape}, residual {residual and residual.shape}; "
                         "needs [..., O] + [O] + [..., O]")
    if b is None:
        return x if residual is None else x + residual
    y = x.data + b.data
    if residual is not None:
        y += residual.data
    inputs = (x, b) if residual is None else (x, b, residual)
    count = len(inputs)  # vjp keeps only this number, not the arrays

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        db = lambda out: column_sum(g.reshape(-1, g.shape[-1]), out)        # noqa: E731
        return (g, db, g)[:count]

    return record(y, inputs, vjp)
