"""The memory ledger: what a training keeps on each rank, by what holds it.

    weights        what the model computes with
    gradients      one number per weight, whatever the batch and however it is accumulated
    optimizer      Adam: two moments; in mixed precision also the weights in full precision
    activations    what backward needs of the forward pass: the only line that knows the batch

A technique is known by the line that it changes. ZeRO (Rajbhandari et al. 2020, "ZeRO: memory optimizations
toward training trillion parameter models", section 5) shares the first three lines out over dp, one stage
after the other, which plain data parallelism does not; tensor and pipeline parallelism cut all four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError, shown
from minipar.plan.activations import TapeBytes
from minipar.plan.arguments import checked, require_amount, require_whole
from minipar.plan.parameters import ITEMSIZE, count, rank_shapes
from minipar.plan.pieces import piece
from minipar.plan.stages import stages_of
from minipar.records import is_whole
from minipar.schedules.find import find_schedule
from minipar.schedules.footprint import peak_activations

SLOTS = {"sgd": 0, "adagrad": 1, "adam": 2, "adamw": 2}             # numbers of state per weight


@dataclass(frozen=True)
class PrecisionRecipe:
    """How a training is done, as bytes per weight of each line of state."""

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
MIXED_ADAM = PrecisionRecipe(2, 2, 12)  # 16 bits to compute with; weights and moments in 32


@dataclass(frozen=True)
class MemoryLedger:
    """Bytes by line."""

    weights: int
    gradients: int
    optimizer: int
    activations: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


@checked
def state(parameters: int, recipe: PrecisionRecipe, *, zero: int = 0, dp: int = 1,
          parts: int = 1) -> MemoryLedger:
    """The three lines of state on the rank that has the largest share.

    parts: tp * pp, by which the model itself is cut. zero: the stage of ZeRO: 1 shares the optimiser's state
    over dp, 2 the gradients too, 3 the weights too. Raises LayoutError for another stage.
    """
    if not is_whole(zero) or zero not in (0, 1, 2, 3):
        raise LayoutError(f"ZeRO has stages 1, 2 and 3, and 0 stands for none; not {shown(zero)}")
    mine = piece(parameters, parts, 0)
    sharded = piece(mine, dp, 0)
    return MemoryLedger(recipe.weights * (sharded if zero >= 3 else mine), recipe.gradients
                        * (sharded if zero >= 2 else mine),
                  recipe.optimizer * (sharded if zero >= 1 else mine))


def training_memory(model: ModelConfig, train: TrainConfig, layout: Layout, rank: int,
                    pairs: Callable[[int], int]) -> MemoryLedger:
    """The most that world rank `rank` of a training with minipar holds at once, between two instructions of
    its pipeline.

    Exact, to the byte, where micro-batches are equal and the schedule does not split backward. Otherwise all
    micro-batches count as the largest, and what W needs, inputs and gradients of its products, as a whole
    tape. pairs: see `activations.TapeBytes`. Raises LayoutError for a layout with cp, and LayoutError or
    ScheduleError for a schedule that cannot be.
    """
    require_whole("rank", rank, 0, layout.ranks - 1)
    if layout.cp > 1:
        raise LayoutError(f"the ledger of a training knows dp, pp and tp; choose cp=1, not {layout.cp}")
    pp_rank, within_stage = divmod(rank, layout.dp * layout.tp)  # tp is the fastest axis of the grid, then dp
    dp_rank, tp_rank = divmod(within_stage, layout.tp)
    itemsize, stages = ITEMSIZE[train.dtype], stages_of(model, layout)
    shapes = rank_shapes(model, layout.tp, tp_rank, stages.of_rank(pp_rank))
    lines = state(count(shapes), PrecisionRecipe(itemsize, itemsize, SLOTS[train.optimizer] * itemsize))
    share, one_by_one = piece(train.batch, layout.dp, dp_rank), layout.gradients == "bitwise"
    pieces, samples = (1, 1) if one_by_one else (min(train.micro_batches, share),
                                                 piece(share, train.micro_batches, 0))
    tape = TapeBytes(model, samples, itemsize, pairs, layout.tp, tp_rank, layout.sequence_parallel,
                     train.recompute)
    last = len(stages.layers) - 1
    tapes = [sum(tape.of(len(layers), stage == 0, stage == last).values()) for stage,
             layers in enumerate(stages.layers)]
    schedule = find_schedule(layout.pipeline, layout.pp, pieces, layout.virtual or None)
    return replace(lines, activations=int(peak_activations(schedule, tapes)[pp_rank]))
