"""`minipar plan --prove` runs the chosen layout on threads, with virtual clocks and the machine's links.

The model is reduced to one layer per stage and a small width. If the layout has more than MOST
ranks, it is also reduced: first dp (but not below 2), then pp, then tp. Two kinds of checks follow. Time,
bytes and memory must equal the prediction. The layout, reduced to at most VERIFIED ranks, must train like one
process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from minipar.comm.collectives.select import select
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.network import Network, exact
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.plan.collective_times import Links
from minipar.plan.machine import Machine
from minipar.plan.search import Candidate
from minipar.plan.traffic import step_traffic
from minipar.proof import prove, uneven_case
from minipar.proof.case import text_of
from minipar.proof.reference import make_reference
from minipar.trace.planned import ClusterLinks, planned_step
from minipar.trace.step import StepTrace, trace_step
from minipar.trace.totals import rank_totals

MOST, VERIFIED = 1024, 8  # largest number of threads of the executed step, and of `verify`
RATE = 10**9  # FLOPs per second of a rank; low, so that the small model takes time
WIDTH_PER_HEAD, TOKENS_PER_RANK, MICRO_BATCHES = 4, 8, 4
MOST_VIRTUAL = 2  # stages per rank
PATIENCE = 600.0  # longest wait of a rank in seconds


@dataclass(frozen=True)
class Shrunk:
    """The training that is executed. `changed` describes the differences from the chosen layout."""

    model: ModelConfig
    train: TrainConfig
    layout: Layout
    changed: tuple[str, ...]


def fitting(layout: Layout, most: int) -> Layout:
    """Return the layout, reduced to at most `most` ranks. First dp is reduced, but not below 2. If this is
    not enough, then pp, then tp.
    """
    dp = min(2, layout.dp)
    tp = max(t for t in range(1, layout.tp + 1) if layout.tp % t == 0 and (t * dp <= most or t == 1))
    pp = max(p for p in range(1, layout.pp + 1) if p * tp * dp <= most or p == 1)
    dp = max(d for d in range(1, layout.dp + 1) if d * tp * pp <= most or d == 1)
    return replace(
        layout,
        dp=dp,
        pp=pp,
        tp=tp,
        stage_layers=(),
        virtual=min(layout.virtual, MOST_VIRTUAL),
        zero=layout.zero if dp > 1 else 0,
    )


def shrunk(candidate: Candidate) -> Shrunk:
    """Return a small training that one process can run on threads. Its layout has at most MOST ranks."""
    layout = fitting(candidate.layout, MOST)
    names = ("dp", "tp", "pp", "virtual", "zero")
    pairs = ((name, getattr(candidate.layout, name), getattr(layout, name)) for name in names)
    changed = [f"{name}={new} instead of {old}" for name, old, new in pairs if old != new]
    model = ModelConfig(
        256,
        TOKENS_PER_RANK * layout.tp,
        layout.pp * max(1, layout.virtual),
        layout.tp,
        WIDTH_PER_HEAD * layout.tp,
    )
    train = TrainConfig(
        batch=layout.dp * MICRO_BATCHES,
        micro_batches=MICRO_BATCHES,
        dtype="float64",
        steps=3,
        recompute=candidate.recompute,
        validation_windows=1,
    )
    return Shrunk(model, train, layout, tuple(changed))


def cluster_of(machine: Machine, layout: Layout) -> tuple[Network, ClusterLinks]:
    """Return the machine's links. If the layout needs several nodes, tp uses the links within a node, and dp
    and pp use the links between nodes.
    """
    single = layout.ranks <= machine.per_node
    nodes = tuple(0 if single else rank // layout.tp for rank in range(layout.ranks))
    within, between = (
        (exact(float(f"{link.latency:.3g}")), exact(float(f"{1 / link.bandwidth:.3g}")))
        for link in (machine.within, machine.between)
    )
    return (Network(*within, *between), ClusterLinks(Links(*within), Links(*between), nodes, Fraction(RATE)))


def executed(small: Shrunk, machine: Machine, zero: int) -> StepTrace:
    """Run a step of the reduced training with this stage of ZeRO."""
    layout = replace(small.layout, zero=zero)
    network, cluster = cluster_of(machine, layout)
    tokenizer, tokens = text_of(small.model.vocabulary)  # the text contains every token

    def traced(world: Communicator) -> StepTrace | None:
        return trace_step(
            world, layout, small.model, small.train, tokenizer, tokens, network, RATE, nodes=cluster.nodes
        )

    traces: list[Any] = run(layout.ranks, traced, timeout=PATIENCE)  # only rank 0 returns a trace
    trace: StepTrace = traces[0]
    return trace


@dataclass(frozen=True)
class Check:
    """The result of one check: its name, the predicted and the measured value, and whether they are equal."""

    name: str
    predicted: str
    measured: str
    equal: bool


def checks(small: Shrunk, machine: Machine) -> list[Check]:
    """Compare the time, the bytes and the memory of each rank with the prediction. Then prove that the
    layout, reduced to fewer ranks, trains like one process.

    The time is checked without ZeRO, because messages of ZeRO overlap with the pipeline.
    """
    plain = executed(small, machine, zero=0)
    _, cluster = cluster_of(machine, small.layout)
    planned = planned_step(small.model, small.train, replace(small.layout, zero=0), cluster)
    end = max(Fraction(event.end) for event in plain.events)
    found = [
        Check(
            "time of the pipeline",
            _ms(planned.pipeline.makespan),
            _ms(plain.measured.makespan),
            planned.pipeline.makespan == plain.measured.makespan,
        ),
        Check("time of the step", _ms(planned.end), _ms(end), planned.end == end),
    ]
    trace = executed(small, machine, small.layout.zero) if small.layout.zero else plain
    ranks = range(small.layout.ranks)
    sent = [one.sent for one in rank_totals(trace)]
    wanted = [
        sum(
            line.bytes
            for line in step_traffic(
                small.model, small.train, small.layout, rank, select, nodes=cluster.nodes
            ).values()
        )
        for rank in ranks
    ]
    found.append(Check("bytes of all ranks", f"{sum(wanted):,}", f"{sum(sent):,}", wanted == sent))
    held = [sum(value for name, value in lines.items() if name != "messages") for lines in trace.memory]
    ledger = [memory.total for memory in trace.ledger]
    found.append(
        Check("memory of the fullest rank", f"{max(ledger):,} B", f"{max(held):,} B", ledger == held)
    )
    smaller = fitting(replace(small.layout, dp=min(2, small.layout.dp)), VERIFIED)
    case = uneven_case(smaller, layers=max(2, smaller.pp * max(1, smaller.virtual)))
    report = run(smaller.ranks, prove, case, make_reference(case), timeout=PATIENCE)[0]
    found.append(
        Check(
            f"verify dp={smaller.dp} tp={smaller.tp} pp={smaller.pp}",
            "one process",
            "equal" if report.proven else "differs",
            report.proven,
        )
    )
    return found


def _ms(seconds: object) -> str:
    return f"{1e3 * float(seconds):.6f} ms"  # type: ignore[arg-type]


def lines_of(small: Shrunk, found: list[Check]) -> list[str]:
    """Return the checks as lines of a table."""
    layout = small.layout
    lines = [
        "",
        f"Executed: dp={layout.dp} tp={layout.tp} pp={layout.pp} on {layout.ranks} threads, "
        f"width {small.model.width}, "
        f"{small.model.layers} layers" + "".join(f"; {change}" for change in small.changed),
        f"{'':27}{'predicted':>18}{'measured':>18}",
    ]
    return lines + [
        f"{one.name:27}{one.predicted:>18}{one.measured:>18}  {'equal' if one.equal else 'DIFFERENT'}"
        for one in found
    ]
