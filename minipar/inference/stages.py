"""Builds this rank's stages of a model, for generation on the ranks of a layout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minipar.config import ModelConfig
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages, parts_of, require_same, schedule_of
from minipar.parallel.tensor import region_of


def stages_of(model: ModelConfig, weights: Mapping[str, np.ndarray], grid: Grid) -> Stages:
    """Return this rank's stages with its shards of the weights. All ranks of the grid call this function.

    weights: the arrays of the whole model by name, as GPT.state_dict returns them. All arrays have the same
    dtype, float32 or float64. Raises LayoutError for a layout that the model does not fit.
    """
    schedule = schedule_of(grid.layout)
    require_same(schedule, grid.layout, grid.world)
    stage_to_rank = schedule.stage_to_rank
    stages = Stages(model, parts_of(model.layers, len(stage_to_rank), grid.layout.stage_layers),
                    stage_to_rank, grid, region_of(grid.tp, model.context, sequence_parallel=False), seed=0,
                    dtype=str(next(iter(weights.values())).dtype))
    stages.load_state_dict({p.name: p.own(weights[p.name]) for p in stages.parameters()})
    return stages
