"""The parts that a Trainer is built from. Each follows from the options, the layout and this rank's position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.errors import LayoutError, ScheduleError
from minipar.nn import Region
from minipar.optim import OPTIMIZERS, Flat, Optimizer, constant, cosine, warm_up
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages, parts_of, require_same
from minipar.schedules.instruction import Schedule


class TrainingData(NamedTuple):
    """What a training reads: the global batch of each step, and the same validation windows every time."""

    batches: Batches
    validation: EvaluationBatches


def training_data(tokens: np.ndarray, model: ModelConfig, train: TrainConfig) -> TrainingData:
    """The first 90 % of the tokens [N] for training, the rest for validation.

    Raises DataError where either part is no longer than the context.
    """
    training, validation = split(tokens)
    return TrainingData(Batches(training, model.context, train.batch, train.seed),
                        EvaluationBatches(validation, model.context, train.batch, train.validation_windows))


def require_trainable(layout: Layout, train: TrainConfig) -> None:
    """Raises LayoutError for a layout that no training can use, or that leaves ranks of dp without samples.
    """
    if layout.cp > 1:
        raise LayoutError(f"training runs over dp, pp and tp; leave cp at 1, not {layout.cp}")
    if layout.dp > train.batch:
        raise LayoutError(f"a batch of {train.batch} over dp={layout.dp} leaves ranks without samples; "
                          "choose a larger --batch")


def samples_of(rank: int, shares: list[int]) -> np.ndarray:
    """The samples of the global batch that this rank of dp has. shares: how many samples each rank has."""
    first = sum(shares[:rank])
    return np.arange(first, first + shares[rank])


def build_stages(model: ModelConfig, train: TrainConfig, grid: Grid, region: Region,
                 schedule: Schedule) -> Stages:
    """This rank's stages of the model, as the schedule distributes them. All ranks of the grid call it.

    Raises ScheduleError for a schedule without backward, or one that differs between the ranks; LayoutError
    where a stage would have nothing to do.
    """
    layout = grid.layout
    if schedule.forward_only:
        raise ScheduleError(f"schedule {layout.pipeline} has no backward; choose one that trains")
    require_same(schedule, layout, grid.world)
    parts = parts_of(model.layers, schedule.stages, layout.stage_layers)
    return Stages(model, parts, schedule.stage_to_rank, grid, region, seed=train.seed, dtype=train.dtype,
                  recompute=train.recompute)


def build_optimizer(train: TrainConfig, flat: Flat) -> Optimizer:
    return OPTIMIZERS[train.optimizer](flat, weight_decay=train.weight_decay)


def learning_rate(train: TrainConfig) -> Callable[[int], float]:
    """Step -> learning rate: a warm-up, then constant, or a cosine down to a tenth in the last step."""
    after = max(train.steps - train.warm_up, 1)
    peak = constant(train.lr) if train.schedule == "constant" else cosine(train.lr, train.lr / 10, after)
    return warm_up(peak, train.warm_up)
