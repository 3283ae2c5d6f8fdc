"""Predicts the traffic of one training step: calls, messages and bytes of each rank, for every layout.

The prediction uses the model's sizes, the layout and the closed forms of the collectives. It does not use
the sending code. `Counting` counts the real messages, and `plan.amounts` compares both amounts, line by line.

A rank of tp sends these messages for each micro-batch of b samples of T tokens (`enter` and `leave` are
operators of nn/region.py):

    tensor parallel     all-reduces of b T D elements. Attention, MLP and the token embedding each have one
                        in forward (leave). Attention, MLP and the head each have one in backward (enter)
    sequence parallel   each all-reduce becomes a reduce-scatter in the same pass (forward or backward) and an
                        all-gather in the other pass. If a parameter is applied to sharded tokens, its
                        gradient is also all-reduced
    loss                one all-reduce finds the largest logit of each token: b T numbers. Another makes
                        two sums per token, of exponentials and of the target's logit: 2 b T numbers
    full recomputation  backward sends the forward messages of the blocks a second time

A rank of pp sends, for each of its stages with a neighbour on another rank:

    b T D elements      activations to the next stage, and a gradient to the previous stage. With sequence
                        parallelism, a rank sends only its own tokens: b t D elements

The amounts along tp and pp do not depend on the hidden width or the vocabulary, because sharded weights and
their gradients are not sent. The amounts depend on a rank's stages, but not on the order of the schedule.

After the micro-batches, a rank sends:

* the gradient of its parameters over dp, in the messages that `Layout.gradients` selects; sharded and
  replicated parameters have separate messages;
* the gradient of a tied table, between the two ends of the pipeline;
* the loss over dp and pp;
* one number for the norm of the gradient, over tp and pp. With ZeRO, this number is also sent over dp.

For ZeRO, sharding.py describes the messages of the gradient and the weights. Several groups independently
compute the same loss, the same norm, and the same gradients of replicated parameters. Their results must be
bitwise equal, but their ranks may lie on nodes in different ways. So nodes do not select their algorithm.

Sources: Shoeybi et al. 2019, section 3 (f and g); Korthikanti et al. 2022, section 4.2.2; Narayanan et al.
2021, section 3.2 (pipelines); and the sources of the closed forms.
"""

# B: samples of a batch, b: samples of a micro-batch, T: tokens of a sample, t: shard of T, D: model width

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from minipar.arrays import Shapes
from minipar.config import COMPRESSED, Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError
from minipar.plan.amounts import SentTotals, TrafficLine, added_up
from minipar.plan.arguments import require_row, require_whole
from minipar.plan.axis import AxisTraffic, Pick
from minipar.plan.compressed import compressed_sum
from minipar.plan.parameters import ITEMSIZE, rank_shapes
from minipar.plan.pieces import piece
from minipar.plan.sharding import sharded_traffic, unit_sizes
from minipar.plan.stages import Share, StageShares, stages_of


def step_traffic(model: ModelConfig, train: TrainConfig, layout: Layout, rank: int, pick: Pick, *,
                 nodes: tuple[int, ...] | None = None) -> dict[TrafficLine, SentTotals]:
    """Returns the traffic that world rank `rank` sends in one training step: line -> amounts. Groups of one
    rank have no lines.

    pick: see Pick. nodes: the node of each world rank; by default all ranks are on one node. Raises
    LayoutError for a layout with cp and for an algorithm without a formula. Raises ScheduleError or
    LayoutError for an invalid schedule.
    """
    require_whole("rank", rank, 0, layout.ranks - 1)
    if layout.cp > 1:
        raise LayoutError("the formulas of a step's traffic cover dp, pp and tp; choose cp=1, not "
                          f"{layout.cp}")
    if nodes is not None:
        require_row("nodes", nodes)
        if len(nodes) != layout.ranks:
            raise LayoutError(f"nodes has {len(nodes)} numbers; the layout has {layout.ranks} ranks",
                              item="nodes")
    dp, pp, tp = _axes(layout, rank, nodes or (0,) * layout.ranks, pick)
    stages = stages_of(model, layout)
    mine, itemsize, full = stages.of_rank(pp.rank), ITEMSIZE[train.dtype], train.recompute == "full"
    shapes = rank_shapes(model, tp.size, tp.rank, mine)
    units = unit_sizes(model, tp.size, tp.rank, stages, pp.rank)
    share, bitwise = piece(train.batch, dp.size, dp.rank), layout.gradients == "bitwise"
    pieces = micro_batches(train, layout, dp.rank)
    samples = [(0, 1)] * share if bitwise else [(number, piece(share, pieces, number))
                                                for number in range(pieces)]
    lines: list[tuple[TrafficLine, SentTotals]] = []
    sizes = [b for _, b in samples] if tp.size > 1 else []
    for b in set(sizes):                                            # equal sizes send equal amounts
        passed = pass_traffic(model, mine, tp, b, itemsize, layout.sequence_parallel, again=full)
        lines += [(line, sent.times(sizes.count(b))) for line, sent in passed]
    for number, b in samples:
        t = piece(model.context, tp.size, tp.rank) if layout.sequence_parallel else model.context
        lines += _neighbours(stages, pp.rank, number, b * t * model.width * itemsize)
    if tp.size > 1:
        lines.append(tp.all_reduce(1, 8, "gradient norm", copies=True))
    if dp.size > 1:
        sections = gradient_sections(shapes, rank_shapes(model, share=mine), tp.size)
        if layout.zero:
            lines += sharded_traffic(units, dp, layout, pieces, itemsize)
            lines += [dp.all_reduce(1, 8, label, copies=True) for label in ("loss", "gradient norm")]
        else:
            lines += gradient_traffic(shapes, sections, dp, train.batch, layout, itemsize)
    if pp.size > 1:
        lines += [pp.all_reduce(1, itemsize if bitwise else 8, "loss", copies=True),
                  pp.all_reduce(1, 8, "gradient norm", copies=True)]
        if model.tied and len(stages.ends) > 1 and pp.rank in stages.ends:
            tied = AxisTraffic("tied", stages.ends.index(pp.rank),
                               tuple(pp.nodes[end] for end in stages.ends), pick)
            elements = math.prod(shapes["tokens.weight"])
            shard = piece(elements, dp.size, dp.rank) if layout.zero else elements
            lines.append(tied.all_reduce(shard, itemsize, "tied table"))
    return added_up(lines)


def micro_batches(train: TrainConfig, layout: Layout, dp_rank: int) -> int:
    """Returns the number of micro-batches of a rank. With ZeRO stages 2 and 3, all ranks have the same number
    as the rank with the most samples, and some micro-batches may be empty.
    """
    most = piece(train.batch, layout.dp, 0 if layout.zero >= 2 else dp_rank)
    return min(train.micro_batches, most)


def _axes(layout: Layout, rank: int, nodes: tuple[int, ...],
          pick: Pick) -> tuple[AxisTraffic, AxisTraffic, AxisTraffic]:
    """Returns this rank's groups along dp, pp and tp. tp is the fastest axis of the grid, pp is the slowest.
    """
    pp_rank, in_stage = divmod(rank, layout.dp * layout.tp)
    dp_rank, tp_rank = divmod(in_stage, layout.tp)
    of_stage = nodes[rank - in_stage:][:layout.dp * layout.tp]
    return (AxisTraffic("dp", dp_rank, of_stage[tp_rank::layout.tp], pick),
            AxisTraffic("pp", pp_rank, nodes[in_stage::layout.dp * layout.tp], pick),
            AxisTraffic("tp", tp_rank, of_stage[dp_rank * layout.tp:][:layout.tp], pick))


def _neighbours(stages: StageShares, rank: int, number: int,
                nbytes: int) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the messages that pp rank `rank` sends for micro-batch `number`. Their receivers are
    neighbouring stages on other ranks.
    """
    for behind, (owner, next_owner) in enumerate(pairwise(stages.stage_to_rank), 1):
        if owner == rank != next_owner:
            yield TrafficLine("pp", "send",
                              f"activations {number} of stage {behind - 1}"), SentTotals(1, 1, nbytes)
        if owner != rank == next_owner:
            yield TrafficLine("pp", "send", f"gradient {number} of stage {behind}"), SentTotals(1, 1, nbytes)


def pass_traffic(model: ModelConfig, mine: Share, tp: AxisTraffic, b: int, itemsize: int, sequence: bool,
                 again: bool) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the traffic of forward and backward of b samples through this rank's part of the model.

    again: true if backward recomputes the blocks.
    """
    T, D = model.context, model.width
    enter, leave = (_sequence_enter, _sequence_leave) if sequence else (_tensor_enter, _tensor_leave)
    columns = [f"blocks.{n}.{layer}" for n in mine.layers for layer in ("attention.qkv", "mlp.up")]
    rows = [f"blocks.{n}.{layer}" for n in mine.layers for layer in ("attention.out", "mlp.down")]
    blocks = [one for end, layers in ((enter, columns), (leave, rows)) for layer in layers
              for one in end(tp, T, b * D, itemsize, layer)]
    yield from blocks
    if again:
        yield from (one for one in blocks if one[0].label.endswith(" forward"))
    if mine.first:
        yield from leave(tp, T, b * D, itemsize, "tokens")
    if mine.last:
        yield from enter(tp, T, b * D, itemsize, "tokens" if model.tied else "head")
        yield tp.all_reduce(b * T, itemsize, "loss max", "max")
        yield tp.all_reduce(2 * b * T, itemsize, "loss sums")
    if sequence:
        yield from _replicated(model, mine, tp, itemsize, rows)


def _tensor_enter(tp: AxisTraffic, length: int, row: int, itemsize: int,
                  layer: str) -> Iterator[tuple[TrafficLine, SentTotals]]:
    yield tp.all_reduce(length * row, itemsize, f"{layer} backward")


def _tensor_leave(tp: AxisTraffic, length: int, row: int, itemsize: int,
                  layer: str) -> Iterator[tuple[TrafficLine, SentTotals]]:
    yield tp.all_reduce(length * row, itemsize, f"{layer} forward")


def _sequence_enter(tp: AxisTraffic, length: int, row: int, itemsize: int,
                    layer: str) -> Iterator[tuple[TrafficLine, SentTotals]]:
    counts = [share * row for share in tp.shares(length)]
    yield tp.all_gather(counts, itemsize, f"{layer} forward")
    yield tp.reduce_scatter(counts, itemsize, f"{layer} backward")


def _sequence_leave(tp: AxisTraffic, length: int, row: int, itemsize: int,
                    layer: str) -> Iterator[tuple[TrafficLine, SentTotals]]:
    counts = [share * row for share in tp.shares(length)]
    yield tp.reduce_scatter(counts, itemsize, f"{layer} forward")
    yield tp.all_gather(counts, itemsize, f"{layer} backward")


def _replicated(model: ModelConfig, mine: Share, tp: AxisTraffic, itemsize: int,
                rows: list[str]) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the traffic that sums the gradients of replicated parameters with sequence parallelism."""
    norms = [f"blocks.{n}.{norm}" for n in mine.layers for norm in ("norm1", "norm2")] + ["norm"] * mine.last
    if mine.first:
        yield tp.all_reduce(model.context * model.width, itemsize, "positions backward")
    for layer in norms + [*norms, *rows] * model.bias:              # weights, then biases
        yield tp.all_reduce(model.width, itemsize, f"{layer} backward")


class Bundle(NamedTuple):
    """Describes gradients that are sent in one message. copied: true if other ranks hold replicas of them.
    names: the parameters, in the order of the flat gradient.
    """

    label: str
    copied: bool
    names: list[str]


def gradient_sections(shapes: Shapes, whole: Shapes, tp: int) -> list[Bundle]:
    """Groups the gradients of a rank of tp. If tp > 1, replicated parameters have a separate bundle.

    shapes: the parameters of this rank. whole: the parameters of the unsharded model. The flat gradient
    begins with the sharded vectors (arrays of one dimension) and ends with the replicated vectors.
    """
    def vector(name: str) -> bool:
        return len(shapes[name]) < 2

    if tp == 1:
        return [Bundle("gradients", False, sorted(shapes, key=vector))]
    parts, copies = ([name for name in shapes if (shapes[name] == whole[name]) is copied]
                     for copied in (False, True))
    sections = [Bundle("gradients", False, sorted(parts, key=vector, reverse=True)),
                Bundle("replicated gradients", True, sorted(copies, key=vector))]
    return [section for section in sections if section.names]


def gradient_traffic(shapes: Shapes, sections: list[Bundle], dp: AxisTraffic, batch: int, layout: Layout,
                     itemsize: int) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the traffic over dp that sums the gradients of this rank's parameters and the losses."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    if layout.gradients == "bitwise":
        yield from _tree(dp, batch, sum(sizes.values()) + 1, itemsize)  # the loss is the last element
        return
    yield dp.all_reduce(1, 8, "loss", copies=True)
    if layout.gradients == "buckets":
        buckets = [bucket for section in sections
                   for bucket in _fill(section, sizes, layout.bucket_bytes // itemsize)]
        number = {name: number for number, name in enumerate(shapes)}
        # sort the buckets in the order in which backward completes them
        buckets.sort(key=lambda bucket: min(number[name] for name in bucket.names), reverse=True)
        sections = [bucket._replace(label=f"{bucket.label} {number}")
                    for number, bucket in enumerate(buckets)]
    elif layout.gradients == "parameter":
        sections = [Bundle(f"gradient {name}", section.copied, [name])
                    for section in sections for name in section.names]
    for label, copied, names in sections:
        size = sum(sizes[name] for name in names)
        if layout.gradients == "shared":
            yield dp.all_reduce_in_shared_memory(size, label)
        elif layout.gradients in COMPRESSED:
            yield from compressed_sum(dp, size, itemsize, label, layout.gradients)
        else:
            yield dp.all_reduce(size, itemsize, label, copies=copied)


def _fill(section: Bundle, sizes: dict[str, int], limit: int) -> list[Bundle]:
    """Divides a section into buckets of at most `limit` elements. A parameter with more elements has its own
    bucket. The last parameters of the section are in the first bucket.
    """
    buckets: list[Bundle] = []
    for name in reversed(section.names):
        if buckets and sum(sizes[other] for other in buckets[-1].names) + sizes[name] <= limit:
            buckets[-1].names.append(name)
        else:
            buckets.append(section._replace(names=[name]))
    return buckets


def _tree(dp: AxisTraffic, batch: int, elements: int,
          itemsize: int) -> Iterator[tuple[TrafficLine, SentTotals]]:
    """Yields the traffic of the bitwise sum: a binary tree over the samples, then a broadcast from rank 0.

    The tree divides every range of samples into a left and a right half. Every sample except sample 0 is the
    first sample of exactly one right half. The rank of this sample has the sum of the right half. It sends
    the sum to the rank where the left half begins, if this is another rank. Example: 4 samples on 2 ranks.
    The right halves begin at 2 (range 0..3), 1 (range 0..1) and 3 (range 2..3). Rank 1 has samples 2 and 3.
    It sends only for sample 2, because the left half of range 0..3 begins on rank 0.
    """
    first = sum(dp.shares(batch)[:dp.rank])
    for sample in range(max(first, 1), first + dp.shares(batch)[dp.rank]):
        low, high = 0, batch
        while (middle := low + (high - low + 1) // 2) != sample:
            low, high = (low, middle) if sample < middle else (middle, high)
        if low < first:
            yield TrafficLine("dp", "send",
                              f"gradient tree {low}+{high - low}"), SentTotals(1, 1, elements * itemsize)
    yield dp.broadcast(elements, itemsize, "gradient tree result")
