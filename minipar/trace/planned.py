"""Predicts the times of a training step under virtual clocks. The prediction needs only sizes, layout and
links.

`trace_step` measures the same step. The time of an instruction is its FLOPs divided by the rate, plus the
time of its messages along tp. `plan.traffic` lists these messages, and closed forms give their times. The
schedule is simulated with the times of its instructions. The collectives of the gradients, the tied table,
the loss and the norm follow after the pipeline. If the ranks of a group are ready at different times, the
collective starts when the last rank is ready. This rule is exact, because every rank needs the data of every
other rank.

The prediction is exact if the closed forms are exact. They are exact under two conditions. The number of
ranks in a group divides the number of elements. The number of ranks is a power of two, or the algorithm is a
ring.
"""

# tp: the axis of tensor parallelism

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from minipar.arrays import Shapes
from minipar.comm.collectives.select import select
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError
from minipar.nn import Part
from minipar.plan.amounts import SentTotals, TrafficLine
from minipar.plan.axis import AxisTraffic
from minipar.plan.collective_times import TIMES, Links
from minipar.plan.parameters import ITEMSIZE, rank_shapes
from minipar.plan.stages import Share, StageShares, stages_of
from minipar.plan.traffic import gradient_sections, gradient_traffic, micro_batches, pass_traffic
from minipar.records import Number
from minipar.schedules.costs import Costs
from minipar.schedules.find import find_schedule
from minipar.schedules.simulate import Timeline, simulate
from minipar.trace.flops import AGAIN, part_flops
from minipar.trace.ports import Ports


@dataclass(frozen=True)
class ClusterLinks:
    """Holds the links within a node and between nodes, and the node of each world rank. rate: FLOPs per
    second.

    All ranks of a group along an axis must be on one node, or each rank on a different node.
    """

    within: Links
    between: Links
    nodes: tuple[int, ...]
    rate: Fraction


@dataclass(frozen=True)
class TimedAxis(AxisTraffic):
    """Describes an axis, and records the time of its collectives. seconds: (label, seconds) in the order of
    the calls.
    """

    links: Links = Links(0, 0)
    seconds: list[tuple[str, Fraction]] = field(default_factory=list)

    def _call(
        self,
        operation: str,
        op: str,
        what: int | list[int],
        elements: int,
        itemsize: int,
        label: str,
        copies: bool = False,
    ) -> tuple[TrafficLine, SentTotals]:
        nodes = 1 if copies else len(set(self.nodes))
        algorithm = self.pick(operation, elements * itemsize, self.size, nodes=nodes)
        seconds = TIMES[operation][algorithm](self.size, Fraction(elements * itemsize), self.links)
        self.seconds.append((label, Fraction(seconds)))
        return super()._call(operation, op, what, elements, itemsize, label, copies)

    def total(self, calls: Iterable[object]) -> Fraction:
        """Runs the calls, so that `_call` records their seconds. Returns the sum of these seconds, and clears
        the record.
        """
        for _ in calls:
            pass
        total = sum((seconds for _, seconds in self.seconds), Fraction(0))
        self.seconds.clear()
        return total


def axis(name: str, ranks: list[int], cluster: ClusterLinks) -> TimedAxis:
    """Returns the axis of these world ranks, as seen by the first of them."""
    nodes = tuple(cluster.nodes[rank] for rank in ranks)
    links = cluster.within if len(set(nodes)) == 1 else cluster.between
    return TimedAxis(name, 0, nodes, select, links)


@dataclass(frozen=True)
class PlannedStep:
    """Holds the predicted times of a training step. pipeline: from the first to the last instruction. end:
    the seconds of the step without the optimiser.
    """

    pipeline: Timeline
    end: Fraction


def planned_step(
    model: ModelConfig, train: TrainConfig, layout: Layout, cluster: ClusterLinks
) -> PlannedStep:
    """Returns the times of a step under clocks that count FLOPs. All micro-batches must have the same size.

    Raises LayoutError for a layout with ZeRO, because messages of ZeRO overlap with the pipeline.
    """
    if layout.zero:
        raise LayoutError(f"the times of zero={layout.zero} are not predicted, because its messages overlap "
                          "with the pipeline; choose zero=0", item="zero")
    stages, tp, dp = stages_of(model, layout), layout.tp, layout.dp
    pieces = micro_batches(train, layout, 0)
    b = train.batch // dp // pieces
    schedule = find_schedule(layout.pipeline, layout.pp, pieces, layout.virtual or None)
    costs: dict[str, list[Number]] = {kind: [] for kind in "FBW"}
    talking: dict[tuple[str, int], Fraction] = {}
    last = len(stages.layers) - 1
    for stage, layers in enumerate(stages.layers):
        share = Share(stage == 0, tuple(layers), stage == last)
        talk = _talk(model, train, layout, cluster, share, b)
        part = Part(share.first, layers, share.last)
        flops = part_flops(model, part, b, tp)
        again = part_flops(model, part, b, tp, 0, AGAIN[train.recompute])
        # B: gradients of activations, W: of weights. A backward that is not split needs the time of both.
        for kind, work in (("F", flops), ("B", flops + again), ("W", flops)):
            talking[kind, stage] = talk.get(kind, Fraction(0))
            costs[kind].append(work / cluster.rate + talking[kind, stage])
    token_count = model.context // tp if layout.sequence_parallel else model.context
    nbytes = b * token_count * model.width * ITEMSIZE[train.dtype]
    message = _message(layout, cluster, nbytes)
    timeline = simulate(
        schedule, Costs(costs["F"], costs["B"], costs["W"], message=message), Ports(layout.pp, talking)
    )
    return PlannedStep(timeline, _end(model, train, layout, cluster, stages, timeline))


def _message(layout: Layout, cluster: ClusterLinks, nbytes: int) -> Fraction:
    if layout.pp == 1:
        return Fraction(0)
    links = axis("pp", [0, layout.dp * layout.tp], cluster).links
    return Fraction(links.alpha + nbytes * links.beta)


def _talk(
    model: ModelConfig, train: TrainConfig, layout: Layout, cluster: ClusterLinks, share: Share, b: int
) -> dict[str, Fraction]:
    """Returns the seconds of the messages along tp for F and B of one stage."""
    if layout.tp == 1:
        return {}
    tp = axis("tp", list(range(layout.tp)), cluster)
    talk = {"F": Fraction(0), "B": Fraction(0)}
    for _ in pass_traffic(model, share, tp, b, ITEMSIZE[train.dtype], layout.sequence_parallel, again=False):
        pass  # tp records the seconds
    for label, seconds in tp.seconds:
        talk["B" if label.endswith(" backward") else "F"] += seconds
        if train.recompute == "full" and label.startswith("blocks.") and label.endswith(" forward"):
            talk["B"] += seconds
    return talk


def _end(
    model: ModelConfig,
    train: TrainConfig,
    layout: Layout,
    cluster: ClusterLinks,
    stages: StageShares,
    timeline: Timeline,
) -> Fraction:
    """Returns the time at which the last rank has the norm of the gradient."""
    dp, pp, tp, itemsize = layout.dp, layout.pp, layout.tp, ITEMSIZE[train.dtype]
    along_dp = axis("dp", [rank * tp for rank in range(dp)], cluster)
    along_tp = axis("tp", list(range(tp)), cluster)
    ready = [Fraction(finished) for finished in timeline.finished]
    table: Shapes = {}
    for rank in range(pp):
        share = stages.of_rank(rank)
        shapes = rank_shapes(model, tp, 0, share)
        if dp > 1:
            sections = gradient_sections(shapes, rank_shapes(model, share=share), tp)
            ready[rank] += along_dp.total(
                gradient_traffic(shapes, sections, along_dp, train.batch, layout, itemsize)
            )
        table |= {name: shape for name, shape in shapes.items() if name == "tokens.weight"}
    if pp > 1:
        along_pp = axis("pp", [rank * dp * tp for rank in range(pp)], cluster)
        if model.tied and len(stages.ends) > 1:
            ends = axis("tied", [rank * dp * tp for rank in stages.ends], cluster)
            seconds = ends.total([ends.all_reduce(math.prod(table["tokens.weight"]), itemsize, "tied table")])
            together = max(ready[rank] for rank in stages.ends) + seconds
            for rank in stages.ends:
                ready[rank] = together
        ready = [max(ready) + along_pp.total([along_pp.all_reduce(1, 8, "loss", copies=True)])]
        ready[0] += along_pp.total([along_pp.all_reduce(1, 8, "gradient norm", copies=True)])
    if tp > 1:
        ready[0] += along_tp.total([along_tp.all_reduce(1, 8, "gradient norm", copies=True)])
    return max(ready)
