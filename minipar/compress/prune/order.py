"""Finds the k-th lowest of scores that are distributed over ranks. The result is exact. Scores are not sent
or sorted.

The method is radix selection. The bits of each float are mapped to an unsigned integer, the key, so that keys
have the same order as floats. Each rank puts its keys into 65536 bins by their upper 16 bits, and counts
them. The sum of the counts over all ranks shows which bin has the k-th lowest key. The next round uses only
the keys of this bin, and the next 16 bits. float32 needs two rounds, each with a sum of 65536 counts over the
ranks. float64 needs four rounds.

This example uses decimal digits instead of 16 bits: rank 0 has 15 and 21, rank 1 has 34 and 19, and k = 2.

    round 1, tens     rank 0 counts {1: 1, 2: 1}, rank 1 counts {1: 1, 3: 1}, the sum is {1: 2, 2: 1, 3: 1};
                      the 2nd lowest key is in bin 1; no key is below this bin, so k stays 2
    round 2, units    only 15 and 19 are left: rank 0 counts {5: 1}, rank 1 counts {9: 1}; the 2nd lowest key
                      is in bin 9, so it is 19
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

    parameters   the parameters to which the arrays belong (same names), with their whole shapes and shards
    reduce       reduces over the ranks of tp (see minipar.compress.reduction); only its op "sum" is used
    """

    parameters: Sequence[Parameter]
    reduce: Reduce


UNSHARDED = Shards((), single_process)  # for one process, which has every array whole


class Order:
    """Finds the lowest scores of all ranks. It compares keys: unsigned integers in the same order as the
    scores.

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
        self.size = sum(self.sizes)                                 # number of scores on all ranks together
        # If every rank has an array whole, its scores must count once, not once per rank.
        self.sharded = [p is None or p.is_sharded for p in self.parameters]
        self.reduce = shards.reduce

    def lowest(self, k: int) -> list[np.ndarray]:
        """Returns a bool array for each array of scores. It is True if this rank's score is among the k
        lowest of all ranks. If scores are equal, those with lower indices come first.

        Example: two ranks have the scores [9, 5] and [5, 5], and k = 2. Three scores are equal to 5, and only
        two can be chosen. The first two have the indices 1 and 2. So the result is [False, True] on one rank
        and [True, False] on the other.
        """
        if k == 0:
            return [np.zeros(key.shape, bool) for key in self.keys]
        kth, within, equals = self._kth(self.keys, k)
        if within == equals:
            return [key <= kth for key in self.keys]
        indices = self._indices()
        last, _, _ = self._kth([index[key == kth] for index, key in zip(indices, self.keys, strict=True)],
                               within)
        return [(key < kth) | ((key == kth) & (index <= last))
                for key, index in zip(self.keys, indices, strict=True)]

    def value(self, k: int) -> float:
        """Returns the k-th lowest score of all ranks. k counts from 1."""
        key, _, _ = self._kth(self.keys, k)
        sign = 1 << (8 * self.dtype.itemsize - 1)
        bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
        return float(np.array(bits, f"u{self.dtype.itemsize}").view(self.dtype))

    def _kth(self, keys: Sequence[np.ndarray], k: int) -> tuple[int, int, int]:
        """Returns three numbers: the k-th lowest key; how many of the k lowest keys are equal to it; how many
        of all keys are equal to it. Example: for the keys 9, 5, 5, 5 and k = 2, returns 5, 2 and 3.
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
        """Returns the index of each key. The indices count through all whole arrays, one array after the
        other.
        """
        firsts, found = np.cumsum([0, *self.sizes])[:-1], []
        for first, size, p, key in zip(firsts, self.sizes, self.parameters, self.keys, strict=True):
            whole = np.arange(first, first + size, dtype=np.uint64)
            found.append(p.own(whole.reshape(p.whole)) if p else whole.reshape(key.shape))
        return found


def _joined(keys: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([key.reshape(-1) for key in keys]) if keys else np.zeros(0, dtype)


def _to_key(score: np.ndarray) -> np.ndarray:
    """Returns an unsigned integer for each float. The integers have the same order as the floats. For a
    negative float, all bits are inverted. For a positive float, the sign bit is set.

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
