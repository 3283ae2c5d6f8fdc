"""From scores to a mask: drop the lowest, exactly as many as were asked for, over all ranks of tensor parallelism.

The documents speak of a threshold tau (002 4.2.1, 004 4.1: keep |w| >= tau) and of a ratio (002 3.2.1: prune 50 % or 80 %).
The ratio is the better handle: it drops floor(ratio n) weights, and the threshold that belongs to it is the order statistic
tau = |w|_(floor(ratio n) + 1), the smallest magnitude that stays. Where several weights are equal no threshold cuts between
them; then their order decides: the earlier goes.

The k-th smallest of scores that are spread over ranks is found digit by digit (radix selection). Read as an integer, the bits
of a float are in order. Each rank counts how its scores fall into 65536 bins by their upper 16 bits; the sum of the counts
over ranks says which bin holds the k-th; and so on with the next 16 bits. Two sums for float32, four for float64, nothing is
sorted, and no score ever travels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minipar.compress.prune.mask import Mask
from minipar.errors import ConfigError, DivergenceError
from minipar.nn import Parameter

DIGIT = 16                                                          # bits that one round looks at
Scores = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shards:
    """How the arrays of this rank are parts of whole parameters, under tensor parallelism.

    parameters   those that the scores belong to, found by name; they know their whole shape and their cut
    add          an array of integers -> its sum over the ranks of tp, e.g. lambda a: all_reduce(tp, a, why="pruning")
    """

    parameters: Sequence[Parameter]
    add: Callable[[np.ndarray], np.ndarray]

    def of(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


ALONE = Shards((), lambda counts: counts)                           # one process


def threshold_mask(weights: Scores, threshold: float) -> Mask:
    """Keep |w| >= threshold (002 4.2.1 and 004 4.1). Needs nothing of other ranks.

    Raises ConfigError for a threshold that is negative or NaN, DivergenceError where a weight is not finite.
    """
    if not threshold >= 0:
        raise ConfigError(f"a threshold of magnitudes is at least 0, not {threshold}")
    _require_finite(weights, ALONE)
    return Mask({name: abs(w) >= threshold for name, w in weights.items()})


def magnitude_mask(weights: Scores, ratio: float, *, per_layer: bool = False, shards: Shards = ALONE) -> Mask:
    """Drop the floor(ratio n) weights of the smallest magnitude: see drop_lowest."""
    return drop_lowest({name: abs(w) for name, w in weights.items()}, ratio, per_layer=per_layer, shards=shards)


def drop_lowest(scores: Scores, ratio: float, *, per_layer: bool = False, shards: Shards = ALONE) -> Mask:
    """Drop the floor(ratio n) weights of the lowest score, among equals the first by name's order and then by index.

    scores      name -> importance of each weight, any shapes and float dtypes; under tensor parallelism this rank's part
    ratio       from 0 (all stay) to 1 (all go)
    per_layer   drop the ratio of every array; if not, of all n weights of all arrays together
    shards      how the arrays lie on the ranks of tp; every rank gets its part of the mask that one process would get

    Raises ConfigError for another ratio, DivergenceError where a score is not finite, on all ranks alike.
    """
    if not 0 <= ratio <= 1:
        raise ConfigError(f"a pruning ratio lies between 0 and 1; got {ratio}")
    _require_finite(scores, shards)
    if per_layer:
        return Mask({name: keep for name, s in scores.items() for keep in _keep({name: s}, ratio, shards)})
    return Mask(dict(zip(scores, _keep(scores, ratio, shards), strict=True)))


def ratio_threshold(weights: Scores, ratio: float, *, shards: Shards = ALONE) -> float:
    """The tau that belongs to a ratio: the smallest magnitude that stays, infinity where none does. Raises as drop_lowest."""
    if not 0 <= ratio <= 1:
        raise ConfigError(f"a pruning ratio lies between 0 and 1; got {ratio}")
    _require_finite(weights, shards)
    order = _Order({name: abs(w) for name, w in weights.items()}, shards)
    if (k := count(ratio, order.size)) == order.size:
        return math.inf
    key, _, _ = order.kth(k + 1)
    return float(_from_key(key, order.dtype))


def count(ratio: float, n: int) -> int:
    """floor(ratio n), where 29 % of 100 are 29, though 0.29 * 100 = 28.999999999999996."""
    return math.floor(round(ratio * n, 6))


def plain_drop_lowest(scores: Scores, ratio: float) -> Mask:
    """The definition of drop_lowest, for one process: sort everything."""
    everything = np.concatenate([s.reshape(-1) for s in scores.values()]) if scores else np.zeros(0)
    keep = np.ones(everything.size, bool)
    keep[np.argsort(everything, kind="stable")[: count(ratio, everything.size)]] = False
    ends = np.cumsum([s.size for s in scores.values()])[:-1]
    return Mask({name: part.reshape(s.shape) for (name, s), part in zip(scores.items(), np.split(keep, ends), strict=True)}
                if scores else {})


class _Order:
    """Scores as unsigned integers in the same order, and where each of them stands among all of all ranks."""

    def __init__(self, scores: Scores, shards: Shards):
        self.shards = shards
        self.parameters = [shards.of(name) for name in scores]
        self.dtype = np.result_type(np.float32, *scores.values())
        self.keys = [_to_key(s.astype(self.dtype, copy=False)) for s in scores.values()]
        self.sizes = [p.size if p else key.size for p, key in zip(self.parameters, self.keys, strict=True)]
        self.size = sum(self.sizes)
        self.parted = [not shards.parameters or (p is not None and p.is_cut) for p in self.parameters]

    def kth(self, k: int) -> tuple[int, int, int]:
        """(the k-th smallest key, counted from 1; how many of its equals are among the k smallest; how many equals it has)."""
        return _kth(self.keys, self.parted, k, self.shards)

    def places(self) -> list[np.ndarray]:
        """Of each key, its index among all weights of all arrays, whole."""
        firsts = np.cumsum([0, *self.sizes])[:-1]
        found = []
        for first, p, key in zip(firsts, self.parameters, self.keys, strict=True):
            whole = np.arange(first, first + (p.size if p else key.size), dtype=np.uint64)
            found.append(p.own(whole.reshape(p.whole)) if p else whole.reshape(key.shape))
        return found


def _keep(scores: Scores, ratio: float, shards: Shards) -> list[np.ndarray]:
    """Which scores stay, in the order of the scores."""
    order = _Order(scores, shards)
    if (k := count(ratio, order.size)) == 0:
        return [np.ones(key.shape, bool) for key in order.keys]
    tau, falling, equals = order.kth(k)
    if falling == equals:
        return [key > tau for key in order.keys]
    places = order.places()                                         # only some of the equals go: the first ones
    ties = [place[key == tau] for place, key in zip(places, order.keys, strict=True)]
    last, _, _ = _kth(ties, order.parted, falling, shards)
    return [(key > tau) | ((key == tau) & (place > last)) for key, place in zip(order.keys, places, strict=True)]


def _kth(keys: Sequence[np.ndarray], parted: Sequence[bool], k: int, shards: Shards) -> tuple[int, int, int]:
    """See _Order.kth. parted: whether other ranks hold other parts of an array; if not, all hold the same, counted once."""
    own = _joined([key for key, apart in zip(keys, parted, strict=True) if apart], keys)
    common = _joined([key for key, apart in zip(keys, parted, strict=True) if not apart], keys)
    found, digit, counts = 0, 0, np.zeros(1, np.int64)
    for shift in range(8 * own.itemsize - DIGIT, -1, -DIGIT):
        digits = [(part >> own.dtype.type(shift)).astype(np.uint16) for part in (own, common)]
        histograms = [np.bincount(d, minlength=1 << DIGIT) for d in digits]
        counts = shards.add(histograms[0]) + histograms[1]
        up_to = np.cumsum(counts)
        digit = int(np.searchsorted(up_to, k))
        k -= int(up_to[digit] - counts[digit])
        found |= digit << shift
        own, common = own[digits[0] == digit], common[digits[1] == digit]
    return found, k, int(counts[digit])


def _joined(some: list[np.ndarray], all_of_them: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([key.reshape(-1) for key in some]) if some else np.zeros(0, all_of_them[0].dtype)


def _to_key(score: np.ndarray) -> np.ndarray:
    """The bits of a float as an unsigned integer: negative numbers turned round, positive ones above them."""
    bits = (score + 0.0).view(f"u{score.itemsize}")                 # -0.0 + 0.0 is 0.0
    sign = bits.dtype.type(1 << (8 * score.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def _from_key(key: int, dtype: np.dtype) -> np.ndarray:
    sign = 1 << (8 * dtype.itemsize - 1)
    bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return np.array(bits, f"u{dtype.itemsize}").view(dtype)


def _require_finite(scores: Scores, shards: Shards) -> None:
    spoilt = [name for name, s in scores.items() if not np.isfinite(s).all()]
    if shards.add(np.array([len(spoilt)]))[0]:
        where = spoilt[0] if spoilt else "an array of another rank"
        raise DivergenceError(f"pruning: {where} holds NaN or infinity; it has no order; train with a lower --lr")
