"""The k-th smallest of numbers that are spread over ranks, exactly, without moving or sorting them.

Radix selection: read as an integer, the bits of a float are in order. Each rank counts how its numbers fall
into 65536 bins by their upper 16 bits; the sum of the counts over ranks says which bin holds the k-th; and so
on with the next 16 bits. That is two sums of 65536 counts for float32, four for float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minipar.compress.reduction import Reduce, single_process
from minipar.errors import ConfigError, RangeError
from minipar.nn import Parameter

DIGIT = 16                                                          # bits that one round looks at
Scores = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shards:
    """How the arrays of this rank are parts of whole parameters, under tensor parallelism.

    parameters   those that the arrays belong to, found by name; they know their whole shape and their cut
    reduce       over the ranks of tp, only ever asked for sums: see minipar.compress.reduction
    """

    parameters: Sequence[Parameter]
    reduce: Reduce


UNSHARDED = Shards((), single_process)                               # one process has it all


class Order:
    """Scores as unsigned integers in the same order (`keys`), and where each of them stands among all of all
    ranks.

    Raises RangeError, on all ranks alike, where a score is not finite: it has no place in an order;
    ConfigError for a name that is not among the shards' parameters.
    """

    def __init__(self, scores: Scores, shards: Shards):
        known = {p.name: p for p in shards.parameters}
        if known and (strange := [name for name in scores if name not in known]):
            raise ConfigError(f"pruning: how {strange[0]} lies on the ranks is not known; give Shards its "
                              "parameter, too", item=strange[0])
        require_finite(scores, shards)
        self.parameters = [known.get(name) for name in scores]
        self.dtype = np.result_type(np.float32, *scores.values())
        self.keys = [_to_key(s.astype(self.dtype, copy=False)) for s in scores.values()]
        self.sizes = [p.size if p else key.size for p, key in zip(self.parameters, self.keys, strict=True)]
        self.size = sum(self.sizes)                                 # of all scores of all ranks
        # What every rank holds whole counts once. One process counts all of its own.
        self.apart = [p is None or p.is_sharded for p in self.parameters]
        self.reduce = shards.reduce

    def lowest(self, k: int) -> list[np.ndarray]:
        """Where this rank's scores are among the k lowest of all ranks, array by array; of equal ones the
        first are.
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
        """The k-th lowest score of all ranks, counted from 1."""
        key, _, _ = self._kth(self.keys, k)
        sign = 1 << (8 * self.dtype.itemsize - 1)
        bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
        return float(np.array(bits, f"u{self.dtype.itemsize}").view(self.dtype))

    def _kth(self, keys: Sequence[np.ndarray], k: int) -> tuple[int, int, int]:
        """(the k-th lowest key, how many of its equals are among the k lowest, how many equals there are)."""
        own, common = (_joined([key for key, apart in zip(keys, self.apart, strict=True) if apart is wanted],
                               keys[0].dtype)
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
        """The index of each key among all scores of all arrays, whole."""
        firsts, found = np.cumsum([0, *self.sizes])[:-1], []
        for first, size, p, key in zip(firsts, self.sizes, self.parameters, self.keys, strict=True):
            whole = np.arange(first, first + size, dtype=np.uint64)
            found.append(p.own(whole.reshape(p.whole)) if p else whole.reshape(key.shape))
        return found


def _joined(keys: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    return np.concatenate([key.reshape(-1) for key in keys]) if keys else np.zeros(0, dtype)


def _to_key(score: np.ndarray) -> np.ndarray:
    """The bits of a float as an unsigned integer: those of negative numbers turned round, those of positive
    ones above.
    """
    bits = (score + 0.0).view(f"u{score.itemsize}")                 # -0.0 + 0.0 is 0.0
    sign = bits.dtype.type(1 << (8 * score.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign)


def require_finite(scores: Scores, shards: Shards) -> None:
    """Raises RangeError, on all ranks alike, where a score of any of them is NaN or infinite."""
    spoilt = [name for name, s in scores.items() if not np.isfinite(s).all()]
    if shards.reduce(np.array([len(spoilt)]), "sum")[0]:
        where = spoilt[0] if spoilt else "an array of another rank"
        raise RangeError(f"pruning: {where} holds NaN or infinity, which have no rank; prune finite weights",
                         item=where)
