"""Computes the memory of a training step on the rank that needs the most, by published formulas for large
models.

    weights, gradients, optimizer     bytes per weight by number format, divided by ZeRO (`memory.state`)
    activations     Korthikanti et al. 2022, equations 1 to 6: per layer and token, in 16 bits

                        LayerNorms 4 D, attention 11 D + 5 H T, MLP 2 D + 4 F + D (19 D for F = 4 D)

                    Tensor parallelism divides all terms except 10 D by tp. Sequence parallelism divides these
                    10 D, too. Flash attention and "selective" recomputation leave out 5 H T. "full" keeps
                    the layer's input, 2 D, and recomputes one layer at a time. Grouped heads make keys and
                    values narrower. A gate adds 2 F. Without dropout there are no masks. The schedule
                    determines how many micro-batches are in flight (`closed_peaks`). The first stage also
                    keeps the mask of the embedding's dropout. The last stage also keeps the logits in 32
                    bits. While it computes the loss, it also holds the logits in 16 bits, and gradients in
                    both formats.
    outputs         a stage's output, 2 D per token and micro-batch in flight; zero if the output is freed
                    after it is sent (appendix B)
    gathered        with ZeRO: the whole weights (stage 3) and gradients (stages 2 and 3) of the running layer
                    and of the next layer
    fragments       memory that the allocator loses to fragmentation (`Software.fragments`)

`training_memory` lists the arrays of minipar and is exact to the byte. `step_memory` estimates the memory of
other programs.
"""

# b: samples of a micro-batch, T: tokens per sample, n = b T, D: model width, H: heads, F: hidden width,
# V: size of the vocabulary, t: tp
# tp, pp: the axes of tensor and pipeline parallelism

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ScheduleError
from minipar.plan.counts import architecture
from minipar.plan.memory import PrecisionRecipe, state
from minipar.plan.shares import largest_share, layer_parameters, rank_parameters
from minipar.plan.software import MEGATRON, Software, itemsize_of, recipe_of
from minipar.plan.stages import stages_of
from minipar.plan.step_time import Sizes, micro_batches_of, require_plannable, without_zero
from minipar.schedules.closed_forms import closed_peaks
from minipar.schedules.find import find_schedule
from minipar.schedules.footprint import peak_activations


@dataclass(frozen=True)
class StepMemory:
    """Holds the bytes of each part of the memory, on the rank that needs the most memory.

    pp_rank: the number of this rank along pp.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    outputs: float
    gathered: float
    fragments: float = 0.0
    pp_rank: int = 0

    @property
    def total(self) -> float:
        return sum(self.lines().values())

    def lines(self) -> dict[str, float]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "pp_rank"}


def step_memory(
    model: ModelConfig, train: TrainConfig, layout: Layout, *, software: Software = MEGATRON
) -> StepMemory:
    """Returns the memory of the pipeline rank that needs the most. Raises LayoutError in the same cases as
    `step_time`.

    >>> from minipar.plan.models import MODELS
    >>> train = TrainConfig(batch=64, micro_batches=64, precision="float16")
    >>> memory = step_memory(MODELS["gpt3-175b"], train, Layout(tp=8, pp=8, sequence_parallel=True))
    >>> round(memory.total / 2**30)                                             # GiB
    81
    """
    require_plannable(model, layout)
    zero, plain = layout.zero, without_zero(layout)
    b, m = micro_batches_of(train, layout)
    sizes = (b, itemsize_of(train), train.recompute)
    held = held_by_ranks(model, plain, sizes, m, software)
    recipe = recipe_of(train, software)
    gathered = gathered_bytes(model, layout, recipe)

    def of_rank(rank: int) -> StepMemory:
        lines = state(parameters[rank], recipe, zero=zero, dp=layout.dp)
        activations, outputs = held[rank]
        return StepMemory(
            lines.weights,
            lines.gradients,
            lines.optimizer,
            activations,
            outputs,
            gathered,
            software.fragments * activations,
            rank,
        )

    parameters = rank_parameters(model, plain)
    per_weight = state(1 << 24, recipe, zero=zero, dp=layout.dp).total / (1 << 24)
    fullest = max(
        range(layout.pp),
        key=lambda rank: (
            per_weight * parameters[rank] + (1 + software.fragments) * held[rank][0] + held[rank][1]
        ),
    )
    return of_rank(fullest)


def gathered_bytes(model: ModelConfig, layout: Layout, recipe: PrecisionRecipe) -> float:
    """Returns the bytes of whole weights and gradients with ZeRO.

    ZeRO stage 3 holds the whole weights of two layers. Without reshard_after_forward, it holds all weights of
    the rank. ZeRO stages 2 and 3 hold the whole gradients of two layers.
    """
    two = 2 * layer_parameters(model, layout.tp)
    weights = two if layout.reshard_after_forward else largest_share(model, without_zero(layout))
    return (layout.zero == 3) * weights * recipe.weights + (layout.zero >= 2) * two * recipe.gradients


@lru_cache(maxsize=1 << 10)
def held_by_ranks(
    model: ModelConfig, layout: Layout, sizes: Sizes, m: int, software: Software
) -> list[tuple[float, float]]:
    """Returns (bytes of activations, bytes of stages' outputs) for each rank of pp.

    The result is cached, because it is the same for all stages of ZeRO.
    """
    b, itemsize, recompute = sizes
    stages = stages_of(model, layout)
    shard = (model, b, layout.tp, layout.sequence_parallel)
    layer = kept_per_layer(*shard, recompute, itemsize, software.flash)
    whole = kept_per_layer(*shard, "none", itemsize, software.flash) if recompute == "full" else 0.0
    output = itemsize * b * model.context * model.width / (layout.tp if layout.sequence_parallel else 1)
    freed = software.deallocate or layout.pp == 1
    in_flight, per_rank = (
        peaks(layout.pipeline, layout.pp, m, layout.virtual),
        len(stages.layers) // layout.pp,
    )
    owned = [0] * layout.pp
    for owner, layers in zip(stages.stage_to_rank, stages.layers, strict=True):
        owned[owner] += len(layers)
    held = [
        flying * layers / per_rank * layer + whole for flying, layers in zip(in_flight, owned, strict=True)
    ]
    first, head = end_activations(*shard, itemsize)
    held[stages.stage_to_rank[0]] += first * in_flight[stages.stage_to_rank[0]] / per_rank
    held[stages.stage_to_rank[-1]] += head
    return [
        (bytes_held, 0.0 if freed else output * flying)
        for bytes_held, flying in zip(held, in_flight, strict=True)
    ]


@lru_cache(maxsize=1 << 14)
def peaks(pipeline: str, pp: int, m: int, virtual: int) -> tuple[int, ...]:
    """Returns, for each rank of pp, the largest number of (micro-batch, stage) pairs in flight.

    The number comes from a formula if the schedule has one. Otherwise it is counted in the schedule.
    """
    try:
        return tuple(closed_peaks(pipeline, pp, m, virtual or None))
    except ScheduleError:
        return tuple(int(peak) for peak in peak_activations(find_schedule(pipeline, pp, m, virtual or None)))


@lru_cache(maxsize=1 << 14)
def kept_per_layer(
    model: ModelConfig,
    b: int,
    tp: int,
    sequence_parallel: bool,
    recompute: str,
    itemsize: int = 2,
    flash: bool = False,
) -> float:
    """Returns the bytes that a rank of tp keeps for one layer and one micro-batch of b samples.

    A dropout mask has one byte per element in every number format.

    >>> gpt = ModelConfig(context=64, heads=4, width=64, dropout=0.1)
    >>> int(kept_per_layer(gpt, 1, 1, False, "none"))               # 64 * 64 * (34 + 5 * 4 * 64 / 64)
    221184
    """
    sizes = architecture(model)
    n, D, F, H, T = b * sizes.context, sizes.width, sizes.mlp_width, sizes.heads, sizes.context
    between = tp if sequence_parallel else 1
    if recompute == "full":
        return n * itemsize * D / between
    mask = 1 if sizes.dropout else 0
    whole = itemsize * 4 * D + mask * 2 * D  # norms, inputs of q k v and up, two dropout masks
    sharded = itemsize * (2 * D + 2 * sizes.kv_width + F * (2 + sizes.gated))
    scores = 0 if flash or recompute == "selective" else H * T * (2 * itemsize + mask if mask else itemsize)
    statistics = 4 * H if flash else 0
    return n * (whole / between + (sharded + scores + statistics) / tp)


def end_activations(
    model: ModelConfig, b: int, tp: int, sequence_parallel: bool, itemsize: int
) -> tuple[float, float]:
    """Returns the bytes that one micro-batch keeps for the mask of the embedding's dropout, and the bytes for
    the last LayerNorm, the head and the loss.

    The formulas are b T D, and 4 b T D + 4 b T V / t, in 16 bits (Korthikanti et al. 2022, section 4.3). The
    term with V is the logits in 32 bits. While the loss is computed, three more arrays of this shape exist:
    the logits in the number format of the training, and their gradients in this format and in 32 bits.
    """
    n, between = b * model.context, tp if sequence_parallel else 1
    first = n * model.width / between if model.dropout else 0.0
    logits = 4 + 4 + 2 * itemsize
    return first, 2 * itemsize * n * model.width / between + logits * n * model.vocabulary / tp
