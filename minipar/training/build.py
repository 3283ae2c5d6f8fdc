"""Build the parts of a Trainer from the options, the layout and this rank's coordinates."""

# N: number of tokens of the text
# dp, cp: the axes of data and context parallelism

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.config import COMPRESSED, Layout, ModelConfig, TrainConfig
from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.errors import LayoutError, ScheduleError
from minipar.nn import Region
from minipar.optim import OPTIMIZERS, Flat, Optimizer, ParameterStore, constant, cosine, warm_up
from minipar.parallel.compressed import CompressedReducer
from minipar.parallel.data import GradientReducer, make_reducer
from minipar.parallel.grid import Grid
from minipar.parallel.sharded import ShardedStore
from minipar.parallel.sharded_gradients import ShardedReducer, StreamedReducer
from minipar.parallel.sharded_units import GatheredUnits, Gathering, ReducedUnits
from minipar.parallel.stages import Stages, parts_of, require_same
from minipar.schedules.instruction import Schedule


class TrainingData(NamedTuple):
    """Holds the data of a training run: the global batch of each step, and the fixed validation windows."""

    batches: Batches
    validation: EvaluationBatches


def training_data(tokens: np.ndarray, model: ModelConfig, train: TrainConfig) -> TrainingData:
    """Divides the tokens [N]: the first 90 % are for training, the rest for validation.

    Raises DataError if one of the two parts has at most `context` tokens.
    """
    training, validation = split(tokens)
    return TrainingData(Batches(training, model.context, train.batch, train.seed),
                        EvaluationBatches(validation, model.context, train.batch, train.validation_windows))


def require_trainable(layout: Layout, train: TrainConfig) -> None:
    """Raises LayoutError for a layout with cp, for ranks of dp without samples, or for compressed gradients
    with float16.
    """
    if layout.cp > 1:
        raise LayoutError(f"training runs over dp, pp and tp; leave cp at 1, not {layout.cp}")
    if layout.gradients in COMPRESSED and train.precision == "float16":
        raise LayoutError(f"gradients {layout.gradients} keeps residuals from step to step, but the loss "
                          "scale of float16 changes; choose another precision, or gradients flat",
                          item="gradients")
    if layout.dp > train.batch:
        raise LayoutError(f"a batch of {train.batch} over dp={layout.dp} leaves ranks without samples; "
                          "choose a larger --batch")


def samples_of(rank: int, shares: list[int]) -> np.ndarray:
    """Returns the indices of this dp rank's samples in the global batch. `shares` holds the number of
    samples of each rank.
    """
    first = sum(shares[:rank])
    return np.arange(first, first + shares[rank])


def build_stages(model: ModelConfig, train: TrainConfig, grid: Grid, region: Region,
                 schedule: Schedule) -> Stages:
    """Builds this rank's stages of the model. The schedule assigns stages to ranks. All ranks of the grid
    call this function.

    Raises ScheduleError for a schedule without backward, or if the ranks have different schedules. Raises
    LayoutError if a stage has no work.
    """
    layout = grid.layout
    if schedule.forward_only:
        raise ScheduleError(f"schedule {layout.pipeline} has no backward; choose one that trains")
    require_same(schedule, layout, grid.world)
    parts = parts_of(model.layers, schedule.stages, layout.stage_layers)
    return Stages(model, parts, schedule.stage_to_rank, grid, region, seed=train.seed, dtype=train.dtype,
                  recompute=train.recompute)


def build_store(layout: Layout, stages: Stages,
                dp: Communicator) -> tuple[ParameterStore, GradientReducer | ShardedReducer | None]:
    """Builds the store of this rank's weights, and the reducer of their gradients. The reducer is None for
    "bitwise".

    Raises LayoutError if ZeRO leaves ranks without a shard. All ranks of dp call this function.
    """
    parameters = stages.parameters()
    if layout.zero == 0:
        flat = Flat(parameters)
        if layout.gradients in COMPRESSED:
            return flat, CompressedReducer(flat, dp, layout.tp > 1, layout.gradients)
        return flat, None if layout.gradients == "bitwise" else make_reducer(layout, flat, dp)
    store = ShardedStore(parameters, dp, layout.zero, copies=layout.tp > 1,
                         reshard=layout.reshard_after_forward)
    if layout.zero == 1:
        return store, ShardedReducer(store)
    reducer = StreamedReducer(store)
    gathering = Gathering(store)
    for model in stages.models:
        model.units = GatheredUnits(model, gathering, reducer) if layout.zero == 3 else ReducedUnits(reducer)
    return store, reducer


def pieces_of(rows: np.ndarray, shares: list[int], micro_batches: int, zero: int) -> list[np.ndarray]:
    """Returns the samples of each micro-batch of a rank. `rows` are the samples of the rank. `shares` holds
    the numbers of samples of all ranks of dp.

    Micro-batches can be empty only with ZeRO stages 2 and 3. In these stages, the ranks of dp communicate in
    each micro-batch. So all ranks have as many micro-batches as the rank with the most samples.

    >>> [len(rows) for rows in pieces_of(np.arange(3, 5), [3, 2], 3, zero=2)]
    [1, 1, 0]
    """
    return np.array_split(rows, min(micro_batches, shares[0] if zero >= 2 else len(rows)))


def build_optimizer(train: TrainConfig, store: ParameterStore) -> Optimizer:
    return OPTIMIZERS[train.optimizer](store, weight_decay=train.weight_decay)


def learning_rate(train: TrainConfig) -> Callable[[int], float]:
    """Returns a function: number of the training step -> learning rate. After the warm-up, the rate is
    constant, or it falls along a cosine to train.lr / 10 at the end.
    """
    after = max(train.steps - train.warm_up, 1)
    peak = constant(train.lr) if train.schedule == "constant" else cosine(train.lr, train.lr / 10, after)
    return warm_up(peak, train.warm_up)
