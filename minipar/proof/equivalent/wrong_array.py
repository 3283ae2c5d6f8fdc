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
    """

    parts: Sequence[int]
    number: int
    axes: Mapping[str, Sequence[Sequence[int]]]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: Sequence[Sequence[int]] = ()
    pieces: int = 1

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
    by_rank: what every rank gave, before any sum.
    """

    name: str
    sharding: Sharding
    whole: np.ndarray
    ranks: Sequence[int]
    got: Sequence[np.ndarray]
    wanted: Sequence[np.ndarray]
    right: Sequence[bool]
    by_rank: Sequence[np.ndarray | None]

    @property
    def ratios(self) -> list[float | None]:
        return [ratio(got, want) for got, want in zip(self.got, self.wanted, strict=True)]


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return difference(one, other)[1] <= CLEAN


def ranks_text(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
