"""Defines the functions of fused nodes. Each function combines several ops, for inference only.

A function overwrites its own intermediate results instead of allocating new arrays. It computes nothing that
only backward needs. All operations have the same order as in the separate ops, so the bits are the same.
"""

# I: number of inputs, O: number of outputs, D: model width, n: number of rows

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
    """Return the op itself, without its wrappers for capture and mixed precision."""
    op: Callable[..., Tensor] = inspect.unwrap(marked)
    return op


def normalise(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Scale each row of x [..., D] to mean 0 and variance 1. This is a LayerNorm without scale and shift."""
    return Tensor(normal_rows(x.data.reshape(-1, x.shape[-1]), eps)[0].reshape(x.shape))


def _product(x: Tensor, w: Tensor, b: Tensor | None) -> np.ndarray:
    """Return x [..., I] @ w [I, O] + b [O] as a new array [n, O]."""
    y: np.ndarray = x.data.reshape(-1, w.shape[0]) @ w.data
    if b is not None:
        y += b.data
    return y


def linear_gelu(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Return gelu(x [..., I] @ w [I, O] + b [O]), shape [..., O]. The slope is not computed, because only
    backward needs the slope.
    """
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
    """Return x [..., I] @ w [I, O] + b [O] + row [O] + residual [..., O], shape [..., O]."""
    y = _product(x, w, b)
    if row is not None:
        y += row.data
    if residual is not None:
        y += residual.data.reshape(y.shape)
    return Tensor(y.reshape(*x.shape[:-1], w.shape[1]))


def masked_softmax(scores: Tensor, scale: float, mask: Tensor | None = None) -> Tensor:
    """Return softmax(scores * scale + mask) over the last axis. The shape of `mask` must broadcast to the
    shape of scores.

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
    """Return layernorm(x + row + residual). x and residual are [..., D]; row is [D] or None. scale and shift
    are [D], or None for a LayerNorm without scale or shift.
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
