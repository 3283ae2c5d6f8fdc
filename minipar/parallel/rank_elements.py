"""Computes which elements of each whole array a rank of a layout holds, without a communicator.

In a training run, each rank computes only its own elements. This module computes the elements of any rank. So
one process can write or read the files of all ranks (training/rank_files.py).

Example: dp=2, tp=2 and ZeRO stage 1. A bias has 6 elements and is sharded over tp:

    rank   dp tp   weights   optimiser's state
    0      0  0    0 1 2     0 1
    1      0  1    3 4 5     3 4
    2      1  0    0 1 2     2
    3      1  1    3 4 5     5
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minipar.config import Layout, ModelConfig
from minipar.nn import SERIAL, Module, Parameter, Region
from minipar.parallel.shards import units_of
from minipar.parallel.stages import models_of_rank, parts_of, schedule_of
from minipar.parallel.tensor import range_of_rank


@dataclass(frozen=True)
class RankLayout:
    """Holds the fields of a Layout that determine the elements of each rank.

    zero: the stage of ZeRO. stage_to_rank: the rank of pp that owns each pipeline stage. stage_layers: the
    number of layers of each stage.
    """

    pp: int
    dp: int
    tp: int
    zero: int
    stage_to_rank: tuple[int, ...]
    stage_layers: tuple[int, ...]

    @property
    def ranks(self) -> int:
        return self.pp * self.dp * self.tp

    @property
    def shards_weights(self) -> bool:
        """True if dp shards the weights."""
        return self.zero == 3

    @property
    def shards_state(self) -> bool:
        """True if dp shards the optimiser's state."""
        return self.zero >= 1


def rank_layout(model: ModelConfig, layout: Layout) -> RankLayout:
    """Returns the RankLayout of a training run with this layout. Raises the same LayoutError or ScheduleError
    as the training.
    """
    stage_to_rank = schedule_of(layout).stage_to_rank
    parts = parts_of(model.layers, len(stage_to_rank), layout.stage_layers)
    return RankLayout(layout.pp, layout.dp, layout.tp, layout.zero, tuple(stage_to_rank),
                      tuple(len(part.layers) for part in parts))


def require_ranks(model: ModelConfig, layout: Layout) -> None:
    """Raises LayoutError if the model has too few layers, heads or hidden units for the layout."""
    rank_layout(model, layout)
    for n, what in ((model.heads, "heads"), (model.mlp_width, "hidden units")):
        range_of_rank(n, what, layout.tp, 0)


@dataclass(frozen=True)
class ArrayPart:
    """Describes the elements of a whole array that one rank holds.

    parameter: its `own` selects the shard over tp. elements: with ZeRO, a range of the flattened shard. None
    means the whole shard.
    """

    parameter: Parameter
    elements: slice | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the elements, as `take` returns them."""
        return self.parameter.shape if self.elements is None else (self.elements.stop - self.elements.start,)

    def take(self, whole: np.ndarray) -> np.ndarray:
        """Returns the rank's elements of a whole array as a contiguous array."""
        shard = np.ascontiguousarray(self.parameter.own(whole))
        return shard if self.elements is None else shard.reshape(-1)[self.elements].copy()

    def positions(self) -> np.ndarray:
        """Returns the indices of these elements in the flattened whole array, with the shape of `take`'s
        result.
        """
        return self.take(np.arange(self.parameter.size).reshape(self.parameter.whole))


@dataclass(frozen=True)
class RankElements:
    """Describes the elements of all arrays on one rank. weights: parameter name -> elements of the weights.
    state: parameter name -> elements of each state array of the optimiser.
    """

    weights: dict[str, ArrayPart]
    state: dict[str, ArrayPart]


def rank_elements(model: ModelConfig, layout: RankLayout, rank: int) -> RankElements:
    """Returns the elements of rank `rank`. Raises LayoutError if a rank of the layout has no elements."""
    pp, dp, tp = map(int, np.unravel_index(rank, (layout.pp, layout.dp, layout.tp)))
    parts = parts_of(model.layers, len(layout.stage_to_rank), layout.stage_layers)
    region = _ShapesOnly(layout.tp, tp) if layout.tp > 1 else SERIAL
    models = models_of_rank(model, parts, layout.stage_to_rank, pp, region, seed=None)
    parameters = _Models(list(models.values())).parameters()
    whole = {p.name: ArrayPart(p) for p in parameters}
    if not layout.shards_state:
        return RankElements(whole, whole)
    units = units_of(parameters, layout.dp, dp, copies=layout.tp > 1)
    owned = {p.name: ArrayPart(p, elements) for unit in units for p, elements in unit.owned()}
    return RankElements(owned if layout.shards_weights else whole, owned)


class _ShapesOnly(Region):
    """A region that determines the shapes of sharded weights. It cannot run a forward pass."""

    def __init__(self, tp: int, rank: int):
        self.tp, self.rank = tp, rank

    def shard(self, n: int, what: str) -> slice:
        return range_of_rank(n, what, self.tp, self.rank)


class _Models(Module):
    """Contains the models of a rank's stages in the order of `Stages`. So the parameters have the same order
    as in a training run.
    """

    def __init__(self, models: Sequence[Module]):
        super().__init__("stages")
        self.models = list(models)
