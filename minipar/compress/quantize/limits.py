"""Which range of numbers the codes are to cover. What lies outside is clipped to its end.

The whole range (`minmax`) clips nothing, but one outlier makes the step large for everybody. `mse` and
`percentile` give up outliers for a smaller step.

Under tensor parallelism numbers on several ranks may share a scale: those of a whole weight, or of a column
of a weight whose rows are cut (RowParallelLinear). Pass `reduce` there, and every rank finds the limits of
the whole, as one process would:

    lambda array, op: all_reduce(tp, array, op, label="limits")       see minipar.compress.reduction

Without it each rank covers its own share, which is right too, and finer: one scale per shard. Columns of a
weight whose columns are cut, and groups, lie on one rank, and nothing is to be reduced.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minipar.compress.quantize.grid import Limits, floats, grid_over, nearest
from minipar.compress.quantize.scheme import Scheme
from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError

FRACTIONS = 2.0 ** (-np.arange(49) / 6)  # of the whole range that `mse` tries: 1 down to 1/256


class FindLimits(Protocol):
    """x: floats in any shape that the scheme allows; the limits have their dtype (float32 for float16).
    Raises RangeError, in which x is called `name`, for NaN and infinity: on all ranks that share the number's
    scale.
    """

    def __call__(self, x: np.ndarray, scheme: Scheme, reduce: Reduce = ..., *, name: str = ...) -> Limits: ...


def minmax(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *,
           name: str = "the array") -> Limits:
    """From the smallest to the largest number of x, and 0."""
    view = floats(x, name).reshape(scheme.view(x.shape))
    axes = scheme.shared(view.shape)
    low, high = _widest(view.min(axes, keepdims=True, initial=0), view.max(axes, keepdims=True, initial=0),
                        reduce)
    worst = np.maximum(-low, high).max(initial=0)
    if not np.isfinite(worst):
        raise RangeError(f"{name} holds {worst:g}; only finite numbers can be quantised", item=name)
    return Limits(low, high)


def percentile(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *, name: str = "the array",
               share: float = 99.9) -> Limits:
    """The range that `share` per cent of the numbers lie in: by size where the scheme is symmetric, else with
    as many cut off below as above.

    A percentile of the whole is no function of the ranks' percentiles: `reduce` gives the widest range of any
    rank. Raises ConfigError for a share that is not above 0 and at most 100.
    """
    if not 0 < share <= 100:
        raise ConfigError(f"share is {share}; choose a percentage above 0, at most 100", item="share")
    view = floats(x, name).reshape(scheme.view(x.shape))
    whole = minmax(x, scheme, reduce, name=name)
    if not view.size:
        return whole
    axes = scheme.shared(view.shape)
    if scheme.symmetric:
        high = _percentiles(abs(view), [share], axes)[0]
        return _widest(-high, high, reduce)
    outside = (100 - share) / 2
    low, high = _percentiles(view, [outside, 100 - outside], axes)
    return _widest(np.minimum(low, 0), np.maximum(high, 0), reduce)


def mse(x: np.ndarray, scheme: Scheme, reduce: Reduce = single_process, *, name: str = "the array") -> Limits:
    """The fraction of the whole range, one of FRACTIONS, that makes the squared error least: for every scale
    its own.

    Costs a rounding of x per fraction.
    """
    view = floats(x, name).reshape(scheme.view(x.shape))
    axes = scheme.shared(view.shape)
    low, high = minmax(x, scheme, reduce, name=name)
    unit = np.ldexp(np.ones_like(high), np.frexp(np.maximum(-low, high))[1] - 1)
    near_one = view / unit  # exact, and its squares neither overflow nor vanish
    fractions = FRACTIONS.astype(view.dtype)
    candidates = [Limits(low / unit * f, high / unit * f) for f in fractions]
    errors = np.stack([((nearest(near_one, grid_over(limits, scheme, name),
                                 scheme)[0] - near_one) ** 2).sum(axes, keepdims=True)
                       for limits in candidates])                   # [fractions, *scales]
    best = fractions[reduce(errors, "sum").argmin(0)]
    return Limits(low * best, high * best)


def _percentiles(view: np.ndarray, shares: list[float], axes: tuple[int, ...]) -> np.ndarray:
    """[shares, *scales]. NumPy interpolates with differences, which overflow near the end of the range; those
    of halves do not.
    """
    return (np.percentile(view / 2, shares, axes, keepdims=True) * 2).astype(view.dtype)


def _widest(low: np.ndarray, high: np.ndarray, reduce: Reduce) -> Limits:
    below, above = reduce(np.stack([-low, high]), "max")
    return Limits(-below, above)
