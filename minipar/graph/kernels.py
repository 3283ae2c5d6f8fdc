"""The functions of fused nodes: several ops in one, for inference only.

Each writes over its own intermediate results instead of allocating new ones, and computes nothing that only
backward needs. The order of all operations is that of the separate ops, so the bits are the same.
"""

# I inputs, O outputs, D model width

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from minipar.autograd import Tensor
from minipar.autograd.elementwise import GELU_CUBIC, GELU_SCALE
from minipar.autograd.fused.gelu import BLOCK
from minipar.autograd.fused.layernorm import normal_rows
from minipar.autograd.probabilities import require_probabilities


def op_of(marked: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The op itself, without its marks for capture and mixed precision."""
    op: Callable[..., Tensor] = inspect.unwrap(marked)
    return op


def normalise(x: Tensor, eps: float = 1e-5) -> Tensor:
    """x [..., D], each row to mean 0 and variance 1: a LayerNorm without scale and shift."""
    return Tensor(normal_rows(x.data.reshape(-1, x.shape[-1]), eps)[0].reshape(x.shape))


def _product(x: Tensor, w: Tensor, b: Tensor | None) -> np.ndarray:
    """x [..., I] @ w [I, O] + b [O], as a new array [n, O]."""
    y: np.ndarray = x.data.reshape(-1, w.shape[0]) @ w.data
    if b is not None:
        y += b.data
    return y


def linear_gelu(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """gelu(x [..., I] @ w [I, O] + b [O]) -> [..., O]. The slope, which backward would need, is left out."""
    y = _product(x, w, b)
    flat = y.reshape(-1)
    u, square = np.empty_like(flat[:BLOCK]), np.empty_like(flat[:BLOCK])
    for start in range(0, len(flat), BLOCK):
        block = flat[start : start + BLOCK]
        t, w2 = u[: len(block)], square[: len(block)]
        np.multiply(block, block, out=w2)
        w2 *= GELU_SCALE * GELU_CUBIC
        np.add(w2, GELU_SCALE, out=t)
        t *= block
        np.tanh(t, out=t)
        t *= 0.5
        t += 0.5
        block *= t
    return Tensor(y.reshape(*x.shape[:-1], w.shape[1]))


def linear_add(x: Tensor, w: Tensor, b: Tensor | None = None, row: Tensor | None = None,
               residual: Tensor | None = None) -> Tensor:
    """x [..., I] @ w [I, O] + b [O] + row [O] + residual [..., O] -> [..., O]."""
    y = _product(x, w, b)
    if row is not None:
        y += row.data
    if residual is not None:
        y += residual.data.reshape(y.shape)
    return Tensor(y.reshape(*x.shape[:-1], w.shape[1]))


def masked_softmax(scores: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """softmax(scores * scale + mask) over the last axis. mask: of a shape that broadcasts to that of scores.

    Raises RangeError if the largest value of a row is infinite.
    """
    e = scores.data * scores.dtype.type(scale)
    if mask is not None:
        e += mask.data
    largest = e.max(axis=-1, keepdims=True)
    require_probabilities(largest, "softmax: the largest value along axis -1")
    e -= largest
    np.exp(e, out=e)
    e /= e.sum(axis=-1, keepdims=True)
    return Tensor(e)


def add_layernorm(x: Tensor, residual: Tensor, row: Tensor | None = None, scale: Tensor | None = None,
                  shift: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """layernorm(x + row + residual): x and residual [..., D], row [D] or None. scale and shift [D]; None for
    a LayerNorm without them.
    """
    total = x.data + (residual.data if row is None else row.data)
    if row is not None:
        total += residual.data
    normal = normal_rows(total.reshape(-1, total.shape[-1]), eps)[0]
    if scale is not None:
        normal *= scale.data
    if shift is not None:
        normal += shift.data
    return Tensor(normal.reshape(total.shape))
