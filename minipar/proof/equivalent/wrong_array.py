"""An array that is wrong on some rank, and what is known of the run that gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minipar.proof.clues import CLEAN, ratio
from minipar.proof.equivalent.sharding import Sharding
from minipar.proof.findings import difference


@dataclass(frozen=True)
class Facts:
    """What is known of the run.

    parts        the number of each rank among the parts that a sharded array has
    number       how many parts there are
    axes         name of a group of ranks -> the ranks of each such group, such as "dp" -> [[0, 2], [1, 3]]
    inputs       the arrays that every rank is given whole, by name
    counts       how many samples (or other indices) each rank has of those that are sharded unevenly
    pieces       micro-batches
    clean        relative: what is closer than that is taken as meant
    """

    parts: Sequence[int]
    number: int
    axes: Mapping[str, Sequence[Sequence[int]]]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Sequence[Sequence[int]] = ()
    pieces: int = 1
    clean: float = CLEAN

    def holders(self, got: Sequence[np.ndarray | None]) -> list[int]:
        """The ranks that should have an array: all of them, or those of the pipeline stages that have it."""
        if "pp" not in self.axes:
            return list(range(len(got)))
        stages = zip(*self.axes["pp"], strict=True)  # the ranks of each stage
        return sorted(
            rank for stage in stages if any(got[rank] is not None for rank in stage) for rank in stage
        )


@dataclass(frozen=True)
class WrongArray:
    """ranks: those that hold it. got, wanted, right: on each of them; a partial array is summed up as one.
    by_rank: what every rank gave, before any sum. clean: see Facts.
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
        """The ratio of each rank; none where the array of some rank is no multiple of the right one."""
        known = [one for one in self.ratios if one is not None]
        return known if len(known) == len(self.got) else []

    def same(self, one: np.ndarray, other: np.ndarray) -> bool:
        """Whether two arrays are equal, as far as the run's rounding lets one see."""
        return difference(one, other)[1] <= self.clean


def ranks_text(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
