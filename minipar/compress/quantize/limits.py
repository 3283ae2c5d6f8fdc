"""Ways to choose the range that the codes cover. Values outside are clipped to its ends.

The whole range (`minmax`) clips nothing, but one outlier makes the step large for all values. `mse` and
`percentile` clip outliers and get a smaller step.

Under tensor parallelism values on several ranks may share a scale: those of a whole weight, or of a column of
a weight whose rows are sharded (RowParallelLinear). Then pass `reduce`, and every rank finds the limits of
the whole weight, as one process does:

    lambda array, op: all_reduce(tp, array, op, label="limits")       see minipar.compress.reduction

Without it each rank covers its own shard, which is correct too, and finer: one scale per shard. If the
columns of a weight are sharded, or with groups, the values of a scale are on one rank and need no reduction.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minipar.compress.quantize.grid import Limits, floats, grid_over, nearest
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError

FRACTIONS = 2.0 ** (-np.arange(49) / 6)  # of the whole range, tried by `mse`: 1 down to 1/256


class FindLimits(Protocol):
    """x: floats of any shape that the scheme allows; the limits have its dtype (float32 for float16). Raises
    RangeError, with `name`, for NaN and infinity: on all ranks that share the value's scale.
    """

    def __call__(self, x: np.ndarray, scheme: Scheme, reduce: Reduce = ..., *, name: str = ...) -> Limits: ...


def minmax(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *,
           name: str = "the array") -> Limits:
    """The smallest and the largest value of x, widened to contain 0."""
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
    """The range of `share` per cent of the values. Symmetric: the smallest |x|; else as many values are
    clipped below as above.

    The percentile of the whole cannot be computed from the ranks' percentiles, so `reduce` takes the widest
    range of any rank. Raises ConfigError unless 0 < share <= 100.
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
    """For each scale, the fraction of the whole range (one of FRACTIONS) with the smallest squared error.

    Rounds x once per fraction.
    """
    view = floats(x, name).reshape(scheme.view(x.shape))
    axes = scheme.scale_axes(view.shape)
    low, high = minmax(x, scheme, reduce, name=name)
    unit = np.ldexp(np.ones_like(high), np.frexp(np.maximum(-low, high))[1] - 1)
    near_one = view / unit  # exact, since unit is a power of 2; squares do not overflow
    fractions = FRACTIONS.astype(view.dtype)
    candidates = [Limits(low / unit * f, high / unit * f) for f in fractions]
    errors = np.stack([((nearest(near_one, grid_over(limits, scheme, name),
                                 scheme)[0] - near_one) ** 2).sum(axes, keepdims=True)
                       for limits in candidates])                   # [fractions, *scales]
    best = fractions[reduce(errors, "sum").argmin(0)]
    return Limits(low * best, high * best)


def _percentiles(view: np.ndarray, shares: list[float], axes: tuple[int, ...]) -> np.ndarray:
    """[shares, *scales]. NumPy interpolates with differences, which overflow for the largest floats; halves
    do not.
    """
    return (np.percentile(view / 2, shares, axes, keepdims=True) * 2).astype(view.dtype)


def _widest(low: np.ndarray, high: np.ndarray, reduce: Reduce) -> Limits:
    below, above = reduce(np.stack([-low, high]), "max")
    return Limits(-below, above)
