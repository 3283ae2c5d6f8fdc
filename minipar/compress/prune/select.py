"""Makes a mask from scores. It drops exactly the requested number of weights, also if they are sharded over
ranks.

The course documents select weights by a threshold tau (002 4.2.1, 004 4.1: keep |w| >= tau) or by a ratio
(002 3.2.1: prune 50 % or 80 %). The ratio is easier to use: it drops floor(ratio n) of n weights. The
equivalent threshold tau is the smallest kept magnitude. If the magnitudes are sorted in increasing order, it
is at position floor(ratio n) + 1, counted from 1. A threshold cannot separate equal weights. With a ratio,
equal weights with lower indices are dropped first.
"""

from __future__ import annotations

import math

import numpy as np

from minipar.compress.prune.mask import Mask
from minipar.compress.prune.order import UNSHARDED, Order, Scores, Shards, require_finite
from minipar.errors import ConfigError


def threshold_mask(weights: Scores, threshold: float, *, shards: Shards = UNSHARDED) -> Mask:
    """Returns a mask that keeps weights with |w| >= threshold (course documents 002, 4.2.1, and 004, 4.1).

    Raises ConfigError for a threshold that is negative or NaN, RangeError if a weight is not finite.
    """
    if not threshold >= 0:
        raise ConfigError(f"a threshold of magnitudes is at least 0; got {threshold}", item="threshold")
    require_finite(weights, shards)
    return Mask({name: abs(w) >= threshold for name, w in weights.items()})


def magnitude_mask(weights: Scores, ratio: float, *, per_layer: bool = False,
                   shards: Shards = UNSHARDED) -> Mask:
    """Returns a mask that drops the floor(ratio n) weights with the smallest magnitudes, see drop_lowest."""
    return drop_lowest({name: abs(w) for name, w in weights.items()}, ratio, per_layer=per_layer,
                       shards=shards)


def drop_lowest(scores: Scores, ratio: float, *, per_layer: bool = False, shards: Shards = UNSHARDED) -> Mask:
    """Returns a mask that drops the floor(ratio n) weights with the lowest scores. If scores are equal, the
    first ones are dropped, in the order of the names and then of the indices.

    scores      name -> importance of each weight, any shapes, float16 to float64; with tensor parallelism,
                this rank's part
    ratio       from 0 (all weights are kept) to 1 (all are dropped)
    per_layer   if True, the ratio applies to every array. If False, it applies to all n weights together
    shards      how the arrays are sharded over tp; each rank gets its shard of the mask of a single process

    Raises ConfigError for an invalid ratio or an array that is not in `shards`. Raises RangeError on all
    ranks if a score is not finite.
    """
    require_ratio(ratio)
    groups = [{name: s} for name, s in scores.items()] if per_layer else [scores]
    keep: dict[str, np.ndarray] = {}
    for group in groups:
        order = Order(group, shards)
        keep |= {name: ~low for name, low in zip(group, order.lowest(count_of(ratio, order.size)),
                                                 strict=True)}
    return Mask(keep)


def ratio_threshold(weights: Scores, ratio: float, *, shards: Shards = UNSHARDED) -> float:
    """Returns the threshold that keeps the same weights as a ratio: the smallest kept magnitude. It is
    infinity if no weight is kept. Raises the errors of drop_lowest.
    """
    require_ratio(ratio)
    order = Order({name: abs(w) for name, w in weights.items()}, shards)
    k = count_of(ratio, order.size)
    return order.value(k + 1) if k < order.size else math.inf


def plain_drop_lowest(scores: Scores, ratio: float) -> Mask:
    """Returns the same mask as drop_lowest, on one process. This simple version sorts all scores. Tests
    compare both.
    """
    everything = np.concatenate([np.zeros(0, np.float32), *(s.reshape(-1) for s in scores.values())])
    keep = np.ones(everything.size, bool)
    keep[np.argsort(everything, kind="stable")[: count_of(ratio, everything.size)]] = False
    ends = np.cumsum([s.size for s in scores.values()])
    return Mask({name: keep[end - s.size : end].reshape(s.shape) for (name, s),
                 end in zip(scores.items(), ends, strict=True)})


def count_of(ratio: float, n: int) -> int:
    """Returns floor(ratio n) without rounding errors. For example, 29 % of 100 is 29, although 0.29 * 100 =
    28.999999999999996.
    """
    return math.floor(round(ratio * n, 6))


def require_ratio(ratio: float) -> None:
    """Raises ConfigError if the ratio is not from 0 to 1."""
    if not 0 <= ratio <= 1:
        raise ConfigError(f"a pruning ratio lies between 0 and 1; got {ratio}", item="ratio")
