"""Computes the time of one training step as a sum of terms. Each term has a formula with its source.

compute     m micro-batches on the busiest rank: FLOPs / rate + bytes / memory rate + launch overhead
tensor      messages of the busiest rank along tp: 4 all-reduces of n D elements per layer, 6 with full
            recomputation (Narayanan et al. 2021, section 3.2); with sequence parallelism they are
            reduce-scatters and all-gathers (Korthikanti et al. 2022, section 4.2.2)
pipeline    messages of the busiest rank to neighbouring stages, two per micro-batch and stage (Narayanan et
            al. 2021, section 3.2), and the messages that fill and drain the pipeline
bubble      the idle time of the schedule (`schedules.closed_forms`: Narayanan et al. 2021, section 2.2;
            Qi et al. 2023), with the times of the stages
data        the all-reduce of the gradients over dp, and the sum of a tied table's gradient over both ends of
            the pipeline. ZeRO replaces the all-reduce by one reduce-scatter, or by one per micro-batch (ZeRO
            stages 2 and 3)
gathers     the all-gather of the weights with ZeRO: once per step in stages 1 and 2; before each forward
            and each backward in stage 3 (Rajbhandari et al. 2020, section 7)
optimizer   the time in which the optimiser reads and writes its bytes. If the cores add gradients
            (`Software.copies`), also the time in which the gradients of micro-batches are added
offload     the transfer of gradients to the host, and of weights back (Ren et al. 2021)
"""

# b: samples of a micro-batch, m: micro-batches, p: ranks of pp, v: stages per rank
# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError
from minipar.plan.collective_costs import collective_seconds
from minipar.plan.counts import architecture
from minipar.plan.groups import collective, neighbour
from minipar.plan.layer_time import LayerWorkload, Workload, end_work, layer_work
from minipar.plan.machine import Machine
from minipar.plan.memory import SLOTS
from minipar.plan.pieces import largest_piece
from minipar.plan.pipeline_time import PipelineTimes, StageSeconds, closed_pipeline, simulated_pipeline
from minipar.plan.shares import largest_share
from minipar.plan.software import MEGATRON, Software, itemsize_of, recipe_of
from minipar.plan.stages import stages_of

Sizes = tuple[int, int, str]  # samples of a micro-batch, bytes of an element, recomputation


@dataclass(frozen=True)
class StepTimes:
    """Holds the seconds of each term. The sum of the terms is the time of a step."""

    compute: float
    tensor: float = 0.0
    pipeline: float = 0.0
    bubble: float = 0.0
    data: float = 0.0
    gathers: float = 0.0
    optimizer: float = 0.0
    offload: float = 0.0

    @property
    def total(self) -> float:
        return sum(self.terms().values())

    def terms(self) -> dict[str, float]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def largest(self) -> str:
        """Returns the name of the largest term except compute. This term limits the layout."""
        others = {name: seconds for name, seconds in self.terms().items() if name != "compute"}
        return max(others, key=others.__getitem__)


class MicroBatches(NamedTuple):
    """Describes the micro-batches of a rank of dp. b: samples of the largest micro-batch. m: the number of
    micro-batches.
    """

    b: int
    m: int


def micro_batches_of(train: TrainConfig, layout: Layout) -> MicroBatches:
    """Returns the micro-batches of the first rank of dp. Raises LayoutError if a rank of dp has no sample."""
    share = largest_piece(train.batch, layout.dp)
    if train.batch < layout.dp:
        raise LayoutError(
            f"a batch of {train.batch} samples over dp={layout.dp} leaves ranks without a sample; "
            f"choose dp <= {train.batch}, or a batch of {layout.dp}",
            item="batch",
        )
    return MicroBatches(
        largest_piece(share, min(train.micro_batches, share)), min(train.micro_batches, share)
    )


def step_time(
    model: ModelConfig,
    train: TrainConfig,
    layout: Layout,
    machine: Machine,
    *,
    software: Software = MEGATRON,
    simulated: bool = False,
) -> StepTimes:
    """Returns the time of one training step on the slowest rank, in seconds by term.

    simulated: if true, the schedule of the pipeline is simulated with the time of every stage and message. If
    false, the closed form is used, which takes microseconds. Raises LayoutError or ScheduleError for a layout
    that is invalid for the model.

    >>> from minipar.plan.machine import machine
    >>> from minipar.plan.models import MODELS
    >>> times = step_time(MODELS["gpt3-175b"], TrainConfig(batch=64, micro_batches=64, precision="float16"),
    ...                   Layout(tp=8, pp=8), machine("a100-80g"))
    >>> round(times.bubble / (times.compute + times.tensor), 2)                 # (p - 1) / m is 0.11
    0.11
    """
    require_plannable(model, layout)
    micro = micro_batches_of(train, layout)
    sizes = (micro.b, itemsize_of(train), train.recompute)
    flow = pipeline_flow(model, without_zero(layout), machine, software, sizes, micro.m, simulated)
    data, gathers = data_times(model, train, layout, machine, micro.m, software)
    share = largest_share(model, without_zero(layout))
    per_rank = largest_piece(share, layout.dp) if layout.zero else share
    added = added_bytes(share, layout, micro.m, itemsize_of(train)) if software.copies else 0.0
    optimizer = 0.0 if software.offload else per_rank * optimizer_bytes(train) / machine.memory_rate
    optimizer += added / machine.memory_rate
    offload = 0.0
    if software.offload:
        recipe = recipe_of(train, software)
        offload = per_rank * (recipe.gradients + recipe.weights) / machine.host_rate
    return StepTimes(flow.compute, flow.tensor, flow.messages, flow.idle, data, gathers, optimizer, offload)


@lru_cache(maxsize=1 << 12)
def without_zero(layout: Layout) -> Layout:
    """Returns the layout with zero=0. This layout is the cache key of results that do not depend on ZeRO."""
    return replace(layout, zero=0, reshard_after_forward=True)


def require_plannable(model: ModelConfig, layout: Layout) -> None:
    """Raises LayoutError for a layout that is invalid for this model."""
    if layout.cp > 1:
        raise LayoutError(f"the planner covers dp, pp and tp; choose cp=1, not {layout.cp}", item="cp")
    heads = getattr(model, "kv_heads", 0) or model.heads
    if layout.tp > model.heads:
        raise LayoutError(
            f"{model.heads} heads over tp={layout.tp} leave ranks without a head; choose tp <= {model.heads}",
            item="tp",
        )
    if layout.tp > heads:
        raise LayoutError(
            f"{heads} heads of keys and values over tp={layout.tp}: each would be on several "
            f"ranks; choose tp <= {heads}",
            item="tp",
        )
    stages = layout.pp * (layout.virtual or 1)
    if not layout.stage_layers and stages > model.layers:
        raise LayoutError(
            f"{model.layers} layers leave some of {stages} stages without a layer; choose "
            f"pp * virtual <= {model.layers}",
            item="pp",
        )
    if layout.sequence_parallel and layout.tp == 1:
        raise LayoutError(
            "sequence parallelism divides the tokens over tp; with tp=1 it does nothing; choose tp > 1",
            item="sequence_parallel",
        )


@lru_cache(maxsize=1 << 10)
def pipeline_flow(
    model: ModelConfig,
    layout: Layout,
    machine: Machine,
    software: Software,
    sizes: Sizes,
    m: int,
    simulated: bool,
) -> PipelineTimes:
    """Returns the times of the pipeline with m micro-batches. The times are cached, because they do not
    depend on ZeRO.
    """
    stages = stage_seconds(model, layout, machine, software, sizes)
    message = pipeline_message(model, layout, machine, software, sizes)
    form = simulated_pipeline if simulated else closed_pipeline
    return form(layout, m, stages, message, software.blocking)


def stage_seconds(
    model: ModelConfig, layout: Layout, machine: Machine, software: Software, sizes: Sizes
) -> list[StageSeconds]:
    """Returns the seconds of F, B and W of each stage, for one micro-batch."""
    b, itemsize, recompute = sizes
    tp, sequence_parallel = layout.tp, layout.sequence_parallel
    layer = layer_work(model, b, tp, sequence_parallel, recompute, itemsize, machine, software)
    first, head = end_work(model, b, tp, sequence_parallel, itemsize, machine, software)
    counts = [len(layers) for layers in stages_of(model, layout).layers]
    made: dict[tuple[int, bool, bool], StageSeconds] = {}
    stages = []
    for stage, layers in enumerate(counts):
        key = (layers, stage == 0, stage == len(counts) - 1)
        if key not in made:
            parts = [(layer, layers), (first, int(key[1])), (head, int(key[2]))]
            made[key] = StageSeconds(
                *(_seconds(parts, kind, machine) for kind in ("forward", "inputs", "weights"))
            )
        stages.append(made[key])
    return stages


def _seconds(parts: list[tuple[LayerWorkload, int]], kind: str, machine: Machine) -> tuple[float, float]:
    """Returns (compute, messages) of F, B or W in seconds. Recomputation belongs to B."""
    total = Workload()
    for work, times in parts:
        if times:
            total = total.plus(getattr(work, kind), times)
            if kind == "inputs":
                total = total.plus(work.again, times)
    return total.compute(machine), total.talk


def pipeline_message(
    model: ModelConfig, layout: Layout, machine: Machine, software: Software, sizes: Sizes
) -> float:
    """Returns the seconds of one message between neighbouring stages."""
    if layout.pp == 1:
        return 0.0
    nbytes = sizes[0] * model.context * model.width * sizes[1]
    stride = layout.tp * layout.dp
    if layout.sequence_parallel:
        return neighbour(nbytes / layout.tp, stride, layout.pp, machine)
    if software.scatter and layout.tp > 1:
        return neighbour(nbytes / layout.tp, stride, layout.pp, machine) + collective(
            "all_gather", layout.tp, nbytes, 1, machine
        )
    return neighbour(nbytes, stride, layout.pp, machine)


def data_times(
    model: ModelConfig, train: TrainConfig, layout: Layout, machine: Machine, m: int, software: Software
) -> tuple[float, float]:
    """Returns two times in seconds: for the sum of the gradients, and for ZeRO's all-gathers. The time that
    computation hides is not counted.
    """
    recipe, share = recipe_of(train, software), largest_share(model, without_zero(layout))
    tied = 0.0
    if model.tied and layout.pp > 1:
        table = largest_piece(model.vocabulary, layout.tp) * model.width * recipe.gradients
        tied = collective_seconds("all_reduce", 2, table, machine.per_node, machine, software)
    if layout.dp == 1:
        return tied, 0.0
    operation, calls = ("reduce_scatter", units_of(model, layout)) if layout.zero else ("all_reduce", 1)
    group = layout.dp, share * recipe.gradients, layout.tp, machine, software
    gradient = collective_seconds(operation, *group, calls=calls)
    gather = 0.0
    if layout.zero:
        group = layout.dp, share * recipe.weights, layout.tp, machine, software
        gather = collective_seconds("all_gather", *group, calls=calls, new_array=layout.zero == 3)
    sums = m if layout.zero >= 2 else 1
    times = 2 * m if layout.zero == 3 and layout.reshard_after_forward else 1
    return tied + (1 - software.overlap) * sums * gradient, (1 - software.overlap) * times * gather


def units_of(model: ModelConfig, layout: Layout) -> int:
    """Returns the number of units that ZeRO sends one by one: a rank's layers, the tables, the last norm.

    >>> units_of(ModelConfig(layers=4), Layout(dp=2, zero=1))                   # tokens, positions, norm
    7
    """
    ends = 2 + architecture(model).positions + (not model.tied)
    return -(-model.layers // layout.pp) + ends


def added_bytes(share: int, layout: Layout, m: int, itemsize: int) -> float:
    """Returns the bytes that a rank reads and writes to sum the gradients of m micro-batches.

    An addition reads two numbers and writes one. Backward adds the gradient of every micro-batch after the
    first to the sum. With ZeRO stages 2 and 3, the rank instead adds its shard of every micro-batch's
    gradient to the sum.
    """
    return 3 * itemsize * (m * largest_piece(share, layout.dp) if layout.zero >= 2 else (m - 1) * share)


def optimizer_bytes(train: TrainConfig) -> int:
    """Returns the bytes that the optimiser's operations read and write per weight.

    The update reads the weight, the gradient and the optimiser's state, and writes the weight and the state.
    Clipping reads the gradient to compute its norm, then reads and writes the gradient. Mixed precision has
    three more operations. The first reads the gradient in 16 bits and writes it in 32 bits. The second reads
    and writes the gradient to divide it by the loss scale. The third reads the weight in 32 bits and writes
    it in 16 bits.

    >>> optimizer_bytes(TrainConfig(optimizer="adamw")), optimizer_bytes(TrainConfig(precision="float16"))
    (40, 60)
    """
    itemsize = max(itemsize_of(train), 4)
    numbers = 3 + 2 * SLOTS[train.optimizer] + 3 * (train.clip > 0)
    mixed = (2 + 4) + (4 + 4) + (4 + 2) if itemsize_of(train) == 2 else 0
    return numbers * itemsize + mixed
