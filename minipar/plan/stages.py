"""Which part of the model each rank of a pipeline has, known from the layout alone.

Layers are shared out over the stages as evenly as can be, the first stages one more, unless the layout says
how many; the schedule says which rank has which stage.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from minipar.config import Layout, ModelConfig
from minipar.plan.pieces import piece
from minipar.schedules.find import find_schedule


class Share(NamedTuple):
    """What of a model one rank has: the embedding or not, some of the layers, the head or not."""

    first: bool
    layers: tuple[int, ...]
    last: bool


class StageShares(NamedTuple):
    """stage_to_rank: the rank of pp that has each stage. layers: those of each stage."""

    stage_to_rank: tuple[int, ...]
    layers: tuple[range, ...]

    def of_rank(self, rank: int) -> Share:
        """What rank `rank` of pp has, all its stages together."""
        mine = [stage for stage, owner in enumerate(self.stage_to_rank) if owner == rank]
        return Share(self.stage_to_rank[0] == rank,
                     tuple(layer for stage in mine for layer in self.layers[stage]),
                     self.stage_to_rank[-1] == rank)

    @property
    def ends(self) -> tuple[int, ...]:
        """The ranks that have the first stage and the last, in order: two of them, or one that has both."""
        return tuple(sorted({self.stage_to_rank[0], self.stage_to_rank[-1]}))


@lru_cache                                                          # every rank asks for it, several times
def stages_of(model: ModelConfig, layout: Layout) -> StageShares:
    """Raises ScheduleError or LayoutError for a schedule that cannot be."""
    stage_to_rank = find_schedule(layout.pipeline, layout.pp, virtual=layout.virtual or None).stage_to_rank
    counts = layout.stage_layers or tuple(piece(model.layers, len(stage_to_rank), stage)
                                          for stage in range(len(stage_to_rank)))
    return StageShares(stage_to_rank, tuple(range(end - count, end) for count,
                                            end in zip(counts, accumulate(counts), strict=True)))
