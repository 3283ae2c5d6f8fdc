"""Defines the data that explain a mistake: a wrong array, and facts about the run that computed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minipar.proof.clues import CLEAN, ratio
from minipar.proof.equivalent.sharding import Sharding
from minipar.proof.findings import difference

# Beginnings of explanations that name no cause. Every wrong number is a multiple of the right one.
UNKNOWN = "not a multiple of the right value"
ONE_NUMBER = "one number, which shows no pattern"


@dataclass(frozen=True)
class Facts:
    """Facts about the run of a parallel program.

    parts        rank -> index of its shard in a sharded array
    number       the number of shards
    axes         axis -> its groups of ranks, such as "dp" -> [[0, 2], [1, 3]]
    inputs       name -> array, for the replicated inputs
    counts       one entry per sharded input: the number of samples (or other indices) of each rank
    pieces       the number of micro-batches
    clean        values with a smaller relative difference count as equal
    """

    parts: Sequence[int]
    number: int
    axes: Mapping[str, Sequence[Sequence[int]]]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Sequence[Sequence[int]] = ()
    pieces: int = 1
    clean: float = CLEAN

    def holders(self, got: Sequence[np.ndarray | None]) -> list[int]:
        """Returns the ranks that must have an array. got: the array of each rank, or None. Without a
        pipeline, all ranks must have it. With a pipeline, if one rank of a stage has the array, all ranks of
        this stage must have it.
        """
        if "pp" not in self.axes:
            return list(range(len(got)))
        stages = zip(*self.axes["pp"], strict=True)  # the ranks of each stage
        return sorted(
            rank for stage in stages if any(got[rank] is not None for rank in stage) for rank in stage
        )


@dataclass(frozen=True)
class WrongArray:
    """An array that is wrong on at least one rank.

    whole: the array of the serial program. ranks: the ranks that must have the array. The next three fields
    have one entry for each of these ranks. got: the rank's array. wanted: the right array. right: true if the
    two are equal within the tolerance. The addends of a Partial array are summed first, so it has one entry.
    by_rank: the arrays of all ranks before such a sum. clean: see Facts.
    """

    name: str
    sharding: Sharding
    whole: np.ndarray
    ranks: Sequence[int]
    got: Sequence[np.ndarray]
    wanted: Sequence[np.ndarray]
    right: Sequence[bool]
    by_rank: Sequence[np.ndarray | None]
    clean: float = CLEAN

    @property
    def ratios(self) -> list[float | None]:
        """The ratio of the wrong to the right array on each rank, or None if it is not constant."""
        return [ratio(got, want, self.clean) for got, want in zip(self.got, self.wanted, strict=True)]

    @property
    def known_ratios(self) -> list[float]:
        """The ratios of all ranks. The list is empty if the ratio of any rank is None.
        """
        known = [one for one in self.ratios if one is not None]
        return known if len(known) == len(self.got) else []

    def same(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Returns True if two arrays have a relative difference of at most `clean`."""
        return difference(one, other)[1] <= self.clean


def ranks_text(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
