"""Defines sums, and ops that use sums.

`axis` is an int, a tuple, or None for all axes. With `keepdims`, the result keeps each reduced axis with
length 1.

All functions raise ShapeError for an axis that the tensor does not have.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np

from minipar.autograd.capture_hook import capturable
from minipar.autograd.elementwise import exp, log
from minipar.autograd.probabilities import require_probabilities
from minipar.autograd.tensor import Tensor, record
from minipar.errors import ShapeError

Axis = int | tuple[int, ...] | None


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if not all(-ndim <= a < ndim for a in axes):
        raise ShapeError(f"axis {axis} is not among the {ndim} axes of this tensor")
    return tuple(a % ndim for a in axes)


def _require_elements(op: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    """Raises ShapeError if an axis has length 0, because then the result does not exist."""
    if not all(shape[a] for a in axes):
        raise ShapeError(f"{op}: a tensor of shape {shape} has no elements along the axes {axes}; leave "
                         "empty parts out", item="shape")


@capturable
def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Returns the sum. If a partial sum of floats shorter than 64 bits overflows, the elements are added in
    float64.
    """
    axes, shape = _axes(axis, x.ndim), x.shape
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    narrow = x.dtype.kind == "f" and x.dtype.itemsize < 8
    with np.errstate(over="ignore", invalid="ignore") if narrow else nullcontext():
        data = x.data.sum(axis=axes, keepdims=keepdims)
    if narrow and not np.isfinite(data).all():
        data = np.asarray(x.data.sum(axis=axes, keepdims=keepdims, dtype=np.float64), x.dtype)
    return record(data, (x,),
                  lambda g: (np.broadcast_to(g.reshape(kept), shape),))


@capturable
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Returns the mean. Floats shorter than 64 bits are added in float64, so that the sum does not overflow.
    If a sum of longer floats overflows, the elements are divided before they are added.
    """
    axes, shape = _axes(axis, x.ndim), x.shape
    _require_elements("mean", shape, axes)
    share = 1 / math.prod(shape[a] for a in axes)
    if x.dtype.kind != "f":
        return sum(x, axis, keepdims) * share
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    with np.errstate(over="ignore"):
        data = x.data.sum(axis=axes, keepdims=keepdims, dtype=np.promote_types(x.dtype, np.float64)) * share
    if x.dtype.itemsize >= 8 and np.isinf(data).any():
        data = (x.data * share).sum(axis=axes, keepdims=keepdims)
    scale = x.dtype.type(share)
    return record(np.asarray(data, x.dtype), (x,),
                  lambda g: (np.broadcast_to((g * scale).reshape(kept), shape),))


@capturable
def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Returns the largest value. If several elements are equally large, each gets the same part of the
    gradient.
    """
    axes = _axes(axis, x.ndim)
    _require_elements("max", x.shape, axes)
    largest = x.data.max(axis=axes, keepdims=True)
    share = (x.data == largest).astype(x.dtype)
    share /= share.sum(axis=axes, keepdims=True)
    data = largest if keepdims else largest.squeeze(axes)
    return record(data, (x,), lambda g: (g.reshape(largest.shape) * share,))


def _shifted(x: Tensor, axis: int) -> Tensor:
    """Returns x minus its largest value along the axis. A softmax does not depend on this shift, so the tape
    treats the largest value as a constant.

    Raises RangeError if the largest value is infinite, because then the softmax is NaN. A NaN in x stays NaN.
    """
    _require_elements("softmax", x.shape, _axes(axis, x.ndim))
    largest = x.data.max(axis=axis, keepdims=True)
    require_probabilities(largest, f"softmax: the largest value along axis {axis}")
    return x - Tensor(largest)


@capturable
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Returns exp(x) / sum exp(x) along the axis. Large values do not overflow."""
    e = exp(_shifted(x, axis))
    return e / sum(e, axis, keepdims=True)


@capturable
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    shifted = _shifted(x, axis)
    return shifted - log(sum(exp(shifted), axis, keepdims=True))
