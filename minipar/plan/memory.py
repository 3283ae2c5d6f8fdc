"""Computes the memory ledger: the bytes that a training run holds on each rank, line by line.

    weights        the weights that the model computes with
    gradients      one number per weight, independent of the batch
    optimizer      Adam: two moments; in mixed precision also the weights in full precision
    activations    the arrays of the forward pass that backward needs; only this line depends on the batch
    residuals      the rounding errors of gradients in int8 or 1bit, which are sent later
    gathered       with ZeRO stage 2 or 3: buffers for whole weights or gradients of a few parts of the model

Each technique changes certain lines. Plain data parallelism does not change the first three lines. ZeRO
(Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models", section 5)
shards them over dp: stage 1 shards the optimizer, stage 2 also the gradients, stage 3 also the weights.
Tensor parallelism and pipeline parallelism shard the first four lines.
"""

# dp, tp, pp, cp: the axes of data, tensor, pipeline and context parallelism

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minipar.config import COMPRESSED, Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError, shown
from minipar.plan.activations import TapeBytes
from minipar.plan.arguments import checked, require_amount, require_whole
from minipar.plan.parameters import ITEMSIZE
from minipar.plan.pieces import piece
from minipar.plan.sharding import UnitSizes, unit_sizes
from minipar.plan.stages import stages_of
from minipar.plan.traffic import micro_batches
from minipar.records import is_whole
from minipar.schedules.find import find_schedule
from minipar.schedules.footprint import peak_activations

SLOTS = {"sgd": 0, "adagrad": 1, "adam": 2, "adamw": 2}             # state values of the optimiser per weight


@dataclass(frozen=True)
class PrecisionRecipe:
    """The number formats of a training run, as bytes per parameter. It has one number for each of the first
    three lines of the ledger.
    """

    weights: int
    gradients: int
    optimizer: int

    def __post_init__(self) -> None:
        for name in ("weights", "gradients", "optimizer"):
            require_amount(name, getattr(self, name))

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer


FLOAT32_ADAM = PrecisionRecipe(4, 4, 8)
MIXED_ADAM = PrecisionRecipe(2, 2, 12)  # computes in 16 bits, and keeps weights and moments in 32 bits


@dataclass(frozen=True)
class MemoryLedger:
    """Holds the bytes of each line of the ledger on one rank."""

    weights: int
    gradients: int
    optimizer: int
    activations: int = 0
    gathered: int = 0
    residuals: int = 0

    @property
    def total(self) -> int:
        return (self.weights + self.gradients + self.optimizer + self.activations + self.gathered
                + self.residuals)


def require_zero(zero: object) -> None:
    """Raises LayoutError unless `zero` is a stage of ZeRO, 1 to 3, or 0 for no ZeRO."""
    if not is_whole(zero) or zero not in (0, 1, 2, 3):
        raise LayoutError(f"zero is {shown(zero)}; choose stage 1, 2 or 3 of ZeRO, or 0 for none",
                          item="zero")


@checked
def state(parameters: int, recipe: PrecisionRecipe, *, zero: int = 0, dp: int = 1,
          parts: int = 1) -> MemoryLedger:
    """Returns the first three lines of the ledger for the rank with the largest shard.

    parts: tp * pp, the number of shards of the model. zero: the stage of ZeRO. Stage 1 shards the optimiser's
    state over dp, stage 2 also the gradients, stage 3 also the weights; 0 means no ZeRO. Raises LayoutError
    for another stage.

    >>> state(1000, MIXED_ADAM, zero=1, dp=4)                   # 1000 * 2, 1000 * 2 and 250 * 12 bytes
    MemoryLedger(weights=2000, gradients=2000, optimizer=3000, activations=0, gathered=0, residuals=0)
    """
    require_zero(zero)
    mine = piece(parameters, parts, 0)
    sharded = piece(mine, dp, 0)
    return MemoryLedger(recipe.weights * (sharded if zero >= 3 else mine),
                        recipe.gradients * (sharded if zero >= 2 else mine),
                        recipe.optimizer * (sharded if zero >= 1 else mine))


def training_memory(model: ModelConfig, train: TrainConfig, layout: Layout, rank: int,
                    pairs: Callable[[int], int]) -> MemoryLedger:
    """Returns the peak memory of world rank `rank` in a training run of minipar. The memory is taken between
    two instructions of the rank's pipeline, not during an instruction.

    The result is exact to the byte if all micro-batches have the same size and the schedule does not split
    backward. Otherwise the result is approximate. Every micro-batch counts as the largest one. If backward is
    split, the arrays that wait for the weights' backward (inputs and gradients of matrix products) count as
    much as a whole tape. pairs: see `activations.TapeBytes`. Raises LayoutError for a layout with cp, and
    LayoutError or ScheduleError for an invalid schedule.
    """
    require_whole("rank", rank, 0, layout.ranks - 1)
    if layout.cp > 1:
        raise LayoutError(f"the memory formula covers dp, pp and tp; choose cp=1, not {layout.cp}")
    pp_rank, within_stage = divmod(rank, layout.dp * layout.tp)  # tp is the fastest axis of the grid, then dp
    dp_rank, tp_rank = divmod(within_stage, layout.tp)
    itemsize, stages = ITEMSIZE[train.dtype], stages_of(model, layout)
    units = unit_sizes(model, layout.tp, tp_rank, stages, pp_rank)
    lines = _lines(units, train, layout, dp_rank)
    share, one_by_one = piece(train.batch, layout.dp, dp_rank), layout.gradients == "bitwise"
    pieces, samples = (1, 1) if one_by_one else (micro_batches(train, layout, dp_rank),
                                                 piece(share, train.micro_batches, 0))
    tape = TapeBytes(model, samples, itemsize, pairs, layout.tp, tp_rank, layout.sequence_parallel,
                     train.recompute)
    last = len(stages.layers) - 1
    tapes = [sum(tape.of(len(layers), stage == 0, stage == last).values())
             for stage, layers in enumerate(stages.layers)]
    schedule = find_schedule(layout.pipeline, layout.pp, pieces, layout.virtual or None)
    return replace(lines, activations=int(peak_activations(schedule, tapes)[pp_rank]))


def _lines(units: UnitSizes, train: TrainConfig, layout: Layout, dp_rank: int) -> MemoryLedger:
    """Returns all lines except the activations, exact to the byte."""
    itemsize, zero = ITEMSIZE[train.dtype], layout.zero
    whole, shard = sum(map(units.elements, units.messages)), units.shard(layout.dp, dp_rank)
    gathered = (zero >= 2) * units.buffers() + (zero >= 3) * units.buffers(layout.reshard_after_forward)
    weights, gradients, numbers = (itemsize * (shard if zero >= stage else whole) for stage in (3, 2, 1))
    return MemoryLedger(weights, gradients, SLOTS[train.optimizer] * numbers, gathered=itemsize * gathered,
                        residuals=itemsize * (whole + units.sections(layout.dp, dp_rank))
                        if layout.gradients in COMPRESSED else 0)
