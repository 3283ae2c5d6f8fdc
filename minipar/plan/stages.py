"""Computes the part of the model on each rank of a pipeline, from the layout only.

The layout may give the number of layers of each stage. Otherwise the layers are divided as evenly as
possible. If the division has a remainder, the first stages have one more layer. The schedule assigns stages
to ranks.
"""

# pp: the axis of pipeline parallelism

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from minipar.config import Layout, ModelConfig
from minipar.errors import LayoutError, shown
from minipar.plan.arguments import require_whole
from minipar.plan.pieces import piece
from minipar.schedules.find import find_schedule


class Share(NamedTuple):
    """Describes the part of a model on one rank. first: true if it has the embedding. last: true if it has
    the head. layers: the numbers of its layers.
    """

    first: bool
    layers: tuple[int, ...]
    last: bool


class StageShares(NamedTuple):
    """Describes the parts of the model on all stages. stage_to_rank: the rank of pp that owns each stage.
    layers: the layers of each stage.
    """

    stage_to_rank: tuple[int, ...]
    layers: tuple[range, ...]

    def of_rank(self, rank: int) -> Share:
        """Returns the part of the model on rank `rank` of pp. The part contains all stages of this rank.
        Raises LayoutError for an invalid rank.
        """
        require_whole("rank", rank, 0, max(self.stage_to_rank))
        mine = [stage for stage, owner in enumerate(self.stage_to_rank) if owner == rank]
        return Share(self.stage_to_rank[0] == rank,
                     tuple(layer for stage in mine for layer in self.layers[stage]),
                     self.stage_to_rank[-1] == rank)

    @property
    def ends(self) -> tuple[int, ...]:
        """The sorted ranks of the first and the last stage. If one rank has both stages, the tuple has only
        this rank.
        """
        return tuple(sorted({self.stage_to_rank[0], self.stage_to_rank[-1]}))


@lru_cache(maxsize=1 << 12)
def owners_of(pipeline: str, pp: int, virtual: int) -> tuple[int, ...]:
    """Returns the rank of pp that owns each stage. virtual: stages per rank; 0 selects the schedule's
    default.
    """
    return find_schedule(pipeline, pp, virtual=virtual or None).stage_to_rank


def stages_of(model: ModelConfig, layout: Layout) -> StageShares:
    """Returns the stages of this model in this layout. Raises ScheduleError or LayoutError for an invalid
    schedule, and LayoutError if the layout's stage_layers do not fit this model.
    """
    for name, value, kind in (("model", model, ModelConfig), ("layout", layout, Layout)):
        if not isinstance(value, kind):
            raise LayoutError(f"{name} is {shown(value)}; it must be a {kind.__name__}", item=name)
    return _stages_of(model, layout)


@lru_cache                                                          # every rank calls it several times
def _stages_of(model: ModelConfig, layout: Layout) -> StageShares:
    stage_to_rank = owners_of(layout.pipeline, layout.pp, layout.virtual)
    counts = layout.stage_layers or tuple(piece(model.layers, len(stage_to_rank), stage)
                                          for stage in range(len(stage_to_rank)))
    if len(counts) != len(stage_to_rank) or sum(counts) != model.layers or min(counts) < 0:
        raise LayoutError(f"stage_layers is {shown(counts)}; it must be {len(stage_to_rank)} numbers, one "
                          f"per stage, with the sum {model.layers}", item="stage_layers")
    return StageShares(stage_to_rank, tuple(range(end - count, end)
                                            for count, end in zip(counts, accumulate(counts), strict=True)))
