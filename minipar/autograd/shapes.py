"""Defines ops that move values without changing them. Backward moves the gradients back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.autograd.capture_hook import capturable
from minipar.autograd.tensor import Tensor, record, take, unbroadcast
from minipar.errors import ShapeError


@capturable
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    before = x.shape
    return record(x.data.reshape(shape), (x,), lambda g: (g.reshape(before),))


@capturable
def transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Reorders the axes. Axis i of the result is axis axes[i] of x."""
    inverse = np.argsort(axes)
    return record(x.data.transpose(axes), (x,), lambda g: (g.transpose(inverse),))


@capturable
def swapaxes(x: Tensor, a: int, b: int) -> Tensor:
    return record(x.data.swapaxes(a, b), (x,), lambda g: (g.swapaxes(a, b),))


@capturable
def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    before = x.shape
    return record(np.broadcast_to(x.data, shape), (x,), lambda g: (unbroadcast(g, before),))


@capturable
def concatenate(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    ends = np.cumsum([part.shape[axis] for part in parts])[:-1]
    return record(np.concatenate([part.data for part in parts], axis), parts,
                  lambda g: np.split(g, ends, axis))


def split(x: Tensor, sizes: Sequence[int], axis: int = 0) -> list[Tensor]:
    """Divide x along an axis into pieces of the given sizes. Raises ShapeError if the sizes do not add up to
    the length of the axis.
    """
    if sum(sizes) != x.shape[axis]:
        raise ShapeError(f"split: sizes {list(sizes)} add up to {sum(sizes)}, axis {axis} of {x.shape} has "
                         f"{x.shape[axis]}")
    before = (slice(None),) * (axis % x.ndim)
    ends = np.cumsum(sizes)
    return [take(x, (*before, slice(end - size, end))) for size, end in zip(sizes, ends, strict=True)]
