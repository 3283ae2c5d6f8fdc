"""Describes a wrong array, and facts about its run that help to explain the mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minipar.proof.clues import CLEAN, ratio
from minipar.proof.equivalent.sharding import Sharding
from minipar.proof.findings import difference


@dataclass(frozen=True)
class Facts:
    """Facts about the run of a parallel program.

    parts        rank -> index of its shard in a sharded array
    number       the number of shards
    axes         axis -> its groups of ranks, such as "dp" -> [[0, 2], [1, 3]]
    inputs       name -> array, for the inputs that every rank has whole
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
        """Returns the ranks that must have an array. Without a pipeline these are all ranks. With a pipeline
        they are all ranks of each stage in which at least one rank has the array.
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

    ranks: the ranks that must have the array. got, wanted, right: one entry per such rank, with its array,
    the right array, and true if they agree. A Partial array is summed first, so it has one entry. by_rank:
    the arrays of all ranks before any sum. clean: see Facts.
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
        return [ratio(got, want, self.clean) for got, want in zip(self.got, self.wanted, strict=True)]

    @property
    def known_ratios(self) -> list[float]:
        """The ratios of all ranks. The list is empty if the array of any rank is not a multiple of the right
        array.
        """
        known = [one for one in self.ratios if one is not None]
        return known if len(known) == len(self.got) else []

    def same(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Returns True if two arrays are equal within the rounding of the run."""
        return difference(one, other)[1] <= self.clean


def ranks_text(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
