"""LayerNorm (Ba, Kiros and Hinton 2016) changes each row to mean 0 and variance 1, then applies a scale and a
shift.

For a row of D elements, let n = (x - mean) / sqrt(var + eps) and y = scale n + shift. If g is the gradient of
y, the gradient of n is h = scale g, and

    dx = (h - mean(h) - n mean(h n)) / sqrt(var + eps)

Two small changes of x do not change y: a change along the vector of ones, and (if eps is 0) a change along n.
So the formula subtracts from h its mean and its component along n. `row_dot` and `column_dot` compute sums of
products without storing the products.
"""

# D: model width

from __future__ import annotations

import numpy as np

from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.elementwise import sqrt
from minipar.autograd.fused.kernels import column_dot, column_sum, row_dot, row_mean
from minipar.autograd.reductions import mean
from minipar.autograd.tape import Contribution
from minipar.autograd.tensor import Tensor, record
from minipar.errors import ShapeError


def plain_layernorm(x: Tensor, scale: Tensor, shift: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Defines `layernorm` by small ops."""
    centred = x - mean(x, -1, keepdims=True)
    normal = centred / sqrt(mean(centred * centred, -1, keepdims=True) + eps)
    return normal * scale if shift is None else normal * scale + shift


@castable
@capturable
def layernorm(x: Tensor, scale: Tensor, shift: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalises x [..., D]. scale: [D]. shift: [D] or None. Raises ShapeError for other shapes."""
    if scale.shape != x.shape[-1:] or (shift is not None and shift.shape != scale.shape):
        raise ShapeError(f"layernorm: x {x.shape}, scale {scale.shape}, shift {shift and shift.shape}; needs "
                         "[..., D], [D], [D]")
    if not scale.data.size:
        raise ShapeError(f"layernorm: x {x.shape} has rows without elements, which have no mean",
                         item="shape")
    shape, weight = x.shape, scale.data
    rows = x.data.reshape(-1, shape[-1])                            # [n, D]
    normal, inverse = normal_rows(rows, eps)
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


def normal_rows(rows: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns (the normalised rows [n, D], 1 / sqrt(variance + eps) [n]).

    Squares of float16 are computed in float32. If squares or sums are still beyond the range of the dtype,
    the row is first scaled by a power of two. This scaling is exact.
    """
    wide = rows.astype(np.float32) if rows.dtype == np.float16 else rows
    with np.errstate(over="ignore", invalid="ignore"):
        normal = wide - row_mean(wide)[:, None]
        variance = row_dot(normal, normal) / rows.shape[-1]         # [n]
    inverse = 1 / np.sqrt(variance + eps)
    if wide.dtype.kind == "f" and not np.isfinite(variance).all():
        scale = np.ldexp(np.ones_like(variance), -np.frexp(np.abs(wide).max(axis=-1))[1] - 1)
        scale = np.where(np.isfinite(variance), 1, scale)[:, None]
        small = wide * scale
        normal = small - row_mean(small)[:, None]
        spread = 1 / np.sqrt(row_dot(normal, normal) / rows.shape[-1] + eps * scale[:, 0] ** 2)
        normal *= spread[:, None]
        return normal.astype(rows.dtype, copy=False), (spread * scale[:, 0]).astype(rows.dtype, copy=False)
    normal *= inverse[:, None]
    return normal.astype(rows.dtype, copy=False), inverse.astype(rows.dtype, copy=False)
