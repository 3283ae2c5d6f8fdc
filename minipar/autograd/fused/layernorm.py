"""LayerNorm (Ba, Kiros and Hinton 2016): each row to mean 0 and variance 1, then a learned scale and shift.

With n = (x - mean) / sqrt(var + eps), y = scale n + shift, and h = scale g the gradient of n, all per row of
D elements:

    dx = (h - mean(h) - n mean(h n)) / sqrt(var + eps)

since the output does not change when x moves along the vector of ones, or along n. The sums of products are
computed without an array for the products.
"""

# D model width

from __future__ import annotations

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.elementwise import sqrt
from minipar.autograd.fused.kernels import column_dot, column_sum, row_dot, row_mean
from minipar.autograd.reductions import mean
from minipar.autograd.tape import Contribution
from minipar.autograd.tensor import Tensor, record
from minipar.errors import ShapeError


def plain_layernorm(x: Tensor, scale: Tensor, shift: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """The definition of `layernorm`, op by op."""
    centred = x - mean(x, -1, keepdims=True)
    normal = centred / sqrt(mean(centred * centred, -1, keepdims=True) + eps)
    return normal * scale if shift is None else normal * scale + shift


@castable
def layernorm(x: Tensor, scale: Tensor, shift: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """x [..., D], scale [D], shift [D] or None -> [..., D]. Raises ShapeError for other shapes."""
    if scale.shape != x.shape[-1:] or (shift is not None and shift.shape != scale.shape):
        raise ShapeError(f"layernorm: x {x.shape}, scale {scale.shape}, shift {shift and shift.shape}; needs "
                         "[..., D], [D], [D]")
    shape, weight = x.shape, scale.data
    rows = x.data.reshape(-1, shape[-1])                            # [n, D]
    normal = rows - row_mean(rows)[:, None]
    inverse = 1 / np.sqrt(row_dot(normal, normal) / shape[-1] + eps)          # [n]
    normal *= inverse[:, None]
    y = normal * weight
    if shift is not None:
        y += shift.data

    def vjp(g: np.ndarray) -> tuple[Contribution, ...]:
        g = g.reshape(normal.shape)
        dx = g * weight                                             # h
        mean_h, mean_hn = row_mean(dx), row_dot(dx, normal) / weight.dtype.type(len(weight))
        dx -= mean_h[:, None]
        dx -= normal * mean_hn[:, None]
        dx *= inverse[:, None]
        gradients = (dx.reshape(shape), lambda out: column_dot(g, normal, out),
                     lambda out: column_sum(g, out))
        return gradients if shift is not None else gradients[:2]

    return record(y.reshape(shape), (x, scale) if shift is None else (x, scale, shift), vjp)
