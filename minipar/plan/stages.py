"""The part of the model on each rank of a pipeline, computed from the layout only.

The layout may give the number of layers of each stage. Otherwise the layers are divided as evenly as
possible, and the first stages have one more. The schedule assigns stages to ranks.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from minipar.config import Layout, ModelConfig
from minipar.plan.pieces import piece
from minipar.schedules.find import find_schedule


class Share(NamedTuple):
    """The part of a model on one rank: first: the embedding; layers: their numbers; last: the head."""

    first: bool
    layers: tuple[int, ...]
    last: bool


class StageShares(NamedTuple):
    """The parts of all stages. stage_to_rank: the rank of pp that owns each stage. layers: of each stage."""

    stage_to_rank: tuple[int, ...]
    layers: tuple[range, ...]

    def of_rank(self, rank: int) -> Share:
        """The part of rank `rank` of pp: all its stages together."""
        mine = [stage for stage, owner in enumerate(self.stage_to_rank) if owner == rank]
        return Share(self.stage_to_rank[0] == rank,
                     tuple(layer for stage in mine for layer in self.layers[stage]),
                     self.stage_to_rank[-1] == rank)

    @property
    def ends(self) -> tuple[int, ...]:
        """The ranks of the first and of the last stage, sorted: two ranks, or one that has both stages."""
        return tuple(sorted({self.stage_to_rank[0], self.stage_to_rank[-1]}))


@lru_cache                                                          # every rank calls it several times
def stages_of(model: ModelConfig, layout: Layout) -> StageShares:
    """The stages of this model in this layout. Raises ScheduleError or LayoutError for an invalid schedule.
    """
    stage_to_rank = find_schedule(layout.pipeline, layout.pp, virtual=layout.virtual or None).stage_to_rank
    counts = layout.stage_layers or tuple(piece(model.layers, len(stage_to_rank), stage)
                                          for stage in range(len(stage_to_rank)))
    return StageShares(stage_to_rank, tuple(range(end - count, end) for count,
                                            end in zip(counts, accumulate(counts), strict=True)))
