"""Chooses the limits: the range of values that the codes cover. Values outside the range are clipped to its
ends.

`minmax` chooses the whole range, so no value is clipped. But one outlier makes the step between codes large
for all values. `mse` and `percentile` clip outliers, and get a smaller step.

With tensor parallelism, values on several ranks can share a scale. This happens if there is one scale per
weight, or if there is one scale per column and the rows are sharded (RowParallelLinear). Then pass `reduce`,
and every rank finds the limits of the whole weight, like one process:

    lambda array, op: all_reduce(tp, array, op, label="limits")       see minipar.compress.reduction

Without `reduce`, each rank finds the limits of its own shard. This is also correct. It is more exact, because
each shard has its own scale. No reduction is needed if all values of a scale are on one rank. This is so with
groups, and also if there is one scale per column and the columns are sharded.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minipar.compress.quantize.grid import Limits, floats, grid_over, nearest
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError

FRACTIONS = 2.0 ** (-np.arange(49) / 6)  # fractions of the whole range that `mse` tries: 1 down to 1/256


class FindLimits(Protocol):
    """The interface of functions that find limits. x: floats of any shape that the scheme allows. The limits
    have the dtype of x (float32 for float16). name: the name of x in messages. Raises RangeError for NaN and
    infinity, on all ranks that share the scale of this value.
    """

    def __call__(self, x: np.ndarray, scheme: Scheme, reduce: Reduce = ..., *, name: str = ...) -> Limits: ...


def minmax(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *,
           name: str = "the array") -> Limits:
    """Returns the smallest and the largest value of x for each scale. The range is extended to contain 0."""
    view = floats(x, name).reshape(scheme.view(x.shape))
    axes = scheme.scale_axes(view.shape)
    low, high = _widest(view.min(axes, keepdims=True, initial=0), view.max(axes, keepdims=True, initial=0),
                        reduce)
    worst = np.maximum(-low, high).max(initial=0)
    if not np.isfinite(worst):
        raise RangeError(f"{name} holds {worst:g}; only finite numbers can be quantised", item=name)
    return Limits(low, high)


def percentile(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *, name: str = "the array",
               share: float = 99.9) -> Limits:
    """Returns a range that contains `share` per cent of the values. With a symmetric scheme, the values with
    the largest |x| are clipped. Otherwise equally many values are clipped below and above.

    The percentile of a whole weight cannot be computed from the percentiles of its shards. So `reduce`
    selects the widest range of all ranks. Raises ConfigError unless 0 < share <= 100.
    """
    if not 0 < share <= 100:
        raise ConfigError(f"share is {share}; choose a percentage above 0, at most 100", item="share")
    view = floats(x, name).reshape(scheme.view(x.shape))
    whole = minmax(x, scheme, reduce, name=name)
    if not view.size:
        return whole
    axes = scheme.scale_axes(view.shape)
    if scheme.symmetric:
        high = _percentiles(abs(view), [share], axes)[0]
        return _widest(-high, high, reduce)
    outside = (100 - share) / 2
    low, high = _percentiles(view, [outside, 100 - outside], axes)
    return _widest(np.minimum(low, 0), np.maximum(high, 0), reduce)


def mse(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *, name: str = "the array") -> Limits:
    """Returns the limits with the smallest squared error, for each scale. It tries the whole range times each
    of FRACTIONS.

    So x is rounded once per fraction.
    """
    view = floats(x, name).reshape(scheme.view(x.shape))
    axes = scheme.scale_axes(view.shape)
    low, high = minmax(x, scheme, reduce, name=name)
    unit = np.ldexp(np.ones_like(high), np.frexp(np.maximum(-low, high))[1] - 1)
    near_one = view / unit  # exact, because unit is a power of 2; squares do not overflow
    fractions = FRACTIONS.astype(view.dtype)
    candidates = [Limits(low / unit * f, high / unit * f) for f in fractions]
    errors = np.stack([((nearest(near_one, grid_over(limits, scheme, name),
                                 scheme)[0] - near_one) ** 2).sum(axes, keepdims=True)
                       for limits in candidates])                   # [fractions, *scales]
    best = fractions[reduce(errors, "sum").argmin(0)]
    return Limits(low * best, high * best)


def _percentiles(view: np.ndarray, shares: list[float], axes: tuple[int, ...]) -> np.ndarray:
    """Returns the percentiles, [shares, *scales]. NumPy computes differences of values, which overflow for
    the largest floats. So this function halves the values first.
    """
    return (np.percentile(view / 2, shares, axes, keepdims=True) * 2).astype(view.dtype)


def _widest(low: np.ndarray, high: np.ndarray, reduce: Reduce) -> Limits:
    below, above = reduce(np.stack([-low, high]), "max")
    return Limits(-below, above)
