"""Finds the k-th lowest of scores that are distributed over ranks. It is exact, and does not move or sort the
scores.

The method is radix selection. The bits of a float can be mapped to an unsigned integer, the key, with the
same order. Each rank counts its keys in 65536 bins by their upper 16 bits. The sum of the counts over ranks
shows the bin of the k-th lowest key. The next round uses only keys of this bin, and counts by the next 16
bits. This needs two sums of 65536 counts for float32, and four for float64.

This example uses decimal digits instead of 16 bits: rank 0 has 15 and 21, rank 1 has 34 and 19, and k = 2.

    round 1, tens     rank 0 counts {1: 1, 2: 1}, rank 1 {3: 1, 1: 1}; sum {1: 2, 2: 1, 3: 1}: the 2nd is in
                      bin 1, and no key is below the bin, so k stays 2
    round 2, units    only 15 and 19: rank 0 counts {5: 1}, rank 1 {9: 1}: the 2nd is in bin 9, so it is 19
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError
from minipar.nn import Parameter

DIGIT = 16  # bits per round
Scores = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shards:
    """Describes how this rank's arrays are sharded with tensor parallelism.

    parameters   the parameters of the arrays, found by name; each has its whole shape and its shard
    reduce       reduces over the ranks of tp, called only with op "sum", see minipar.compress.reduction
    """

    parameters: Sequence[Parameter]
    reduce: Reduce


UNSHARDED = Shards((), single_process)                               # one process holds every array whole


class Order:
    """The order of the scores of all ranks. It uses keys, which are unsigned integers in the same order as
    the scores.

    Raises RangeError on all ranks if a score is not finite. Raises ConfigError for a name that is not among
    the shards' parameters.
    """

    def __init__(self, scores: Scores, shards: Shards):
        known = {p.name: p for p in shards.parameters}
        if known and (strange := [name for name in scores if name not in known]):
            raise ConfigError(f"pruning: Shards has no parameter {strange[0]}; add it to "
                              "Shards.parameters", item=strange[0])
        require_finite(scores, shards)
        self.parameters = [known.get(name) for name in scores]
        self.dtype = np.result_type(np.float32, *scores.values())
        self.keys = [_to_key(s.astype(self.dtype, copy=False)) for s in scores.values()]
        self.sizes = [p.size if p else key.size for p, key in zip(self.parameters, self.keys, strict=True)]
        self.size = sum(self.sizes)                                 # number of scores of all ranks
        # An array that every rank holds whole is counted once, not summed over ranks.
        self.sharded = [p is None or p.is_sharded for p in self.parameters]
        self.reduce = shards.reduce

    def lowest(self, k: int) -> list[np.ndarray]:
        """Returns a bool array for each array. It is True if this rank's score is among the k lowest of all
        ranks. Of equal scores, those with lower indices come first.

        Example: scores [3, 1] and [1, 1], k = 2. The 2nd lowest score is 1, and 2 of the 3 scores of 1 are
        among the 2 lowest. These have the indices 1 and 2, so the result is [False, True] and [True, False].
        """
        if k == 0:
            return [np.zeros(key.shape, bool) for key in self.keys]
        kth, within, equals = self._kth(self.keys, k)
        if within == equals:
            return [key <= kth for key in self.keys]
        indices = self._indices()
        last, _, _ = self._kth([index[key == kth] for index, key in zip(indices, self.keys, strict=True)],
                               within)
        return [(key < kth) | ((key == kth) & (index <= last)) for key,
                index in zip(self.keys, indices, strict=True)]

    def value(self, k: int) -> float:
        """Returns the k-th lowest score of all ranks. k counts from 1."""
        key, _, _ = self._kth(self.keys, k)
        sign = 1 << (8 * self.dtype.itemsize - 1)
        bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
        return float(np.array(bits, f"u{self.dtype.itemsize}").view(self.dtype))

    def _kth(self, keys: Sequence[np.ndarray], k: int) -> tuple[int, int, int]:
        """Returns the k-th lowest key, the number of keys equal to it among the k lowest, and the number of
        all keys equal to it.
        """
        own, common = (_joined([key for key, sharded in zip(keys, self.sharded, strict=True)
                                if sharded is wanted], keys[0].dtype)
                       for wanted in (True, False))
        found, digit, counts = 0, 0, np.zeros(1, np.int64)
        for shift in range(8 * own.itemsize - DIGIT, -1, -DIGIT):
            digits = [(part >> own.dtype.type(shift)).astype(np.uint16) for part in (own, common)]
            histograms = [np.bincount(d, minlength=1 << DIGIT) for d in digits]
            counts = self.reduce(histograms[0], "sum") + histograms[1]
            up_to = np.cumsum(counts)
            digit = int(np.searchsorted(up_to, k))
            k -= int(up_to[digit] - counts[digit])
            found |= digit << shift
            own, common = own[digits[0] == digit], common[digits[1] == digit]
        return found, k, int(counts[digit])

    def _indices(self) -> list[np.ndarray]:
        """Returns, for each key, its index. All whole arrays together are numbered one after the other."""
        firsts, found = np.cumsum([0, *self.sizes])[:-1], []
        for first, size, p, key in zip(firsts, self.sizes, self.parameters, self.keys, strict=True):
            whole = np.arange(first, first + size, dtype=np.uint64)
            found.append(p.own(whole.reshape(p.whole)) if p else whole.reshape(key.shape))
        return found


def _joined(keys: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([key.reshape(-1) for key in keys]) if keys else np.zeros(0, dtype)


def _to_key(score: np.ndarray) -> np.ndarray:
    """Returns an unsigned integer for each float, in the same order. The bits of a negative float are
    inverted. The sign bit of a positive float is set.

    >>> [hex(key) for key in _to_key(np.array([-2, -1, 0, 1], np.float32))]
    ['0x3fffffff', '0x407fffff', '0x80000000', '0xbf800000']
    """
    bits = (score + 0.0).view(f"u{score.itemsize}")                 # -0.0 + 0.0 is 0.0
    sign = bits.dtype.type(1 << (8 * score.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def require_finite(scores: Scores, shards: Shards) -> None:
    """Raises RangeError on all ranks if a score of any rank is NaN or infinite."""
    spoilt = [name for name, s in scores.items() if not np.isfinite(s).all()]
    if shards.reduce(np.array([len(spoilt)]), "sum")[0]:
        where = spoilt[0] if spoilt else "an array of another rank"
        raise RangeError(f"pruning: {where} holds NaN or infinity; prune finite weights",
                         item=where)
