"""The memory ledger: what a training keeps on each rank, by what holds it.

    weights        what the model computes with
    gradients      one number per weight, whatever the batch and however it is accumulated
    optimizer      Adam: two moments; in mixed precision also the weights in full precision
    activations    what backward needs of the forward pass: the only line that knows the batch

A technique is known by the line that it changes. ZeRO (Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training
trillion parameter models", section 5) shares the first three lines out over dp, one stage after the other, which plain data
parallelism does not; tensor and pipeline parallelism cut all four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError
from minipar.plan.activations import Tape
from minipar.plan.collectives import piece
from minipar.plan.parameters import ITEMSIZE, count, rank_shapes

SLOTS = {"sgd": 0, "adagrad": 1, "adam": 2, "adamw": 2}             # numbers of state per weight


@dataclass(frozen=True)
class Recipe:
    """How a training is done, as bytes per weight of each line of state."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer


FLOAT32_SGD = Recipe(4, 4, 0)
FLOAT32_ADAM = Recipe(4, 4, 8)
MIXED_ADAM = Recipe(2, 2, 12)                                       # 16 bits to compute with; weights and moments in 32


@dataclass(frozen=True)
class Memory:
    """Bytes by line."""

    weights: int
    gradients: int
    optimizer: int
    activations: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


def state(parameters: int, recipe: Recipe, *, zero: int = 0, dp: int = 1, parts: int = 1) -> Memory:
    """The three lines of state on the rank that has the largest share.

    parts: tp * pp, by which the model itself is cut. zero: the stage of ZeRO: 1 shares the optimiser's state over dp, 2 the
    gradients too, 3 the weights too. Raises LayoutError for another stage.
    """
    if zero not in (0, 1, 2, 3):
        raise LayoutError(f"ZeRO has stages 1, 2 and 3, and 0 stands for none; not {zero}")
    mine = piece(parameters, parts, 0)
    shared = piece(mine, dp, 0)
    return Memory(recipe.weights * (shared if zero >= 3 else mine), recipe.gradients * (shared if zero >= 2 else mine),
                  recipe.optimizer * (shared if zero >= 1 else mine))


def training_memory(model: ModelConfig, train: TrainConfig, layout: Layout, rank: int, pairs: Callable[[int], int]) -> Memory:
    """What world rank `rank` of a training with minipar holds when the forward pass of its largest micro-batch is done.

    Exact, to the byte; pairs: see `activations.Tape`. Raises LayoutError for a layout with pp or cp.
    """
    if layout.pp > 1 or layout.cp > 1:
        raise LayoutError(f"the ledger of a training knows dp and tp; choose pp=1 and cp=1, not {layout.pp} and {layout.cp}")
    dp_rank, tp_rank = divmod(rank, layout.tp)                      # tp is the fastest axis of the grid
    itemsize = ITEMSIZE[train.dtype]
    lines = state(count(rank_shapes(model, layout.tp, tp_rank)), Recipe(itemsize, itemsize, SLOTS[train.optimizer] * itemsize))
    share = piece(train.batch, layout.dp, dp_rank)
    samples = 1 if layout.gradients == "bitwise" else piece(share, train.micro_batches, 0)
    kept = Tape(model, samples, itemsize, pairs, layout.tp, tp_rank, layout.sequence_parallel, train.recompute).of()
    return replace(lines, activations=sum(kept.values()))
