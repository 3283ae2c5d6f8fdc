"""`minipar plan --prove`: the chosen layout runs on threads, with virtual clocks and the machine's links.

The model shrinks to one layer per stage and a few numbers per rank. The ranks keep dp x tp x pp; if these are
more than MOST, dp is smaller, then pp. The answers: time, bytes and memory are equal to the prediction, and
the layout with dp cut to 2 trains like one process.
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
from minipar.plan.stages import stages_of
from minipar.plan.traffic import step_traffic
from minipar.proof import verify
from minipar.proof.case import text_of
from minipar.trace.planned import ClusterLinks, planned_step
from minipar.trace.step import StepTrace, trace_step

MOST = 64  # threads
RATE = 10**9  # FLOPs per second of a rank: the shrunk model would take no time at the machine's own rate
WIDTH_PER_HEAD, TOKENS_PER_RANK, MICRO_BATCHES = 4, 8, 4


@dataclass(frozen=True)
class Shrunk:
    """The training that is executed. changed: what differs from the chosen layout, in words."""

    model: ModelConfig
    train: TrainConfig
    layout: Layout
    changed: tuple[str, ...]


def shrunk(candidate: Candidate) -> Shrunk:
    """A training with the same layout that fits into one process."""
    layout, changed = candidate.layout, []
    pp = max(p for p in range(1, layout.pp + 1) if p * layout.tp <= MOST or p == 1)
    dp = max(d for d in range(1, layout.dp + 1) if d * pp * layout.tp <= MOST or d == 1)
    for name, old, new in (("pp", layout.pp, pp), ("dp", layout.dp, dp)):
        if old != new:
            changed.append(f"{name}={new} instead of {old}")
    layout = replace(layout, dp=dp, pp=pp, stage_layers=(), zero=layout.zero if dp > 1 else 0)
    model = ModelConfig(
        256,
        TOKENS_PER_RANK * layout.tp,
        layout.pp * max(1, layout.virtual),
        layout.tp,
        WIDTH_PER_HEAD * layout.tp,
    )
    train = TrainConfig(
        batch=dp * MICRO_BATCHES,
        micro_batches=MICRO_BATCHES,
        dtype="float64",
        steps=3,
        recompute=candidate.recompute,
        validation_windows=1,
    )
    return Shrunk(model, train, layout, tuple(changed))


def cluster_of(machine: Machine, layout: Layout) -> tuple[Network, ClusterLinks]:
    """The machine's links: within a node for tp, and between nodes for dp and pp if one node is too small."""
    single = layout.ranks <= machine.per_node
    nodes = tuple(0 if single else rank // layout.tp for rank in range(layout.ranks))
    within, between = (
        (exact(float(f"{link.latency:.3g}")), exact(float(f"{1 / link.bandwidth:.3g}")))
        for link in (machine.within, machine.between)
    )
    return (Network(*within, *between), ClusterLinks(Links(*within), Links(*between), nodes, Fraction(RATE)))


def executed(small: Shrunk, machine: Machine, zero: int) -> StepTrace:
    """The step of the shrunk training with this stage of ZeRO."""
    layout = replace(small.layout, zero=zero)
    network, cluster = cluster_of(machine, layout)
    tokenizer, tokens = text_of(small.model.vocabulary)  # all of its tokens occur

    def traced(world: Communicator) -> StepTrace | None:
        return trace_step(
            world, layout, small.model, small.train, tokenizer, tokens, network, RATE, nodes=cluster.nodes
        )

    traces: list[Any] = run(layout.ranks, traced)                   # rank 0 has it
    trace: StepTrace = traces[0]
    return trace


@dataclass(frozen=True)
class Check:
    """One answer: what was compared, the predicted and the measured value, and whether they are equal."""

    name: str
    predicted: str
    measured: str
    equal: bool


def checks(small: Shrunk, machine: Machine) -> list[Check]:
    """Time (without ZeRO, whose messages travel inside the pipeline), bytes and memory of every rank, and the
    proof with dp cut to 2.
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
    sent = [
        sum(event.bytes for event in trace.events if event.rank == rank and event.kind == "send")
        for rank in ranks
    ]
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
    report = verify(
        replace(
            small.layout, dp=min(2, small.layout.dp), zero=small.layout.zero if small.layout.dp > 1 else 0
        ),
        layers=max(2, len(stages_of(small.model, small.layout).layers)),
    )
    found.append(
        Check("verify, dp at most 2", "one process", "equal" if report.proven else "differs", report.proven)
    )
    return found


def _ms(seconds: object) -> str:
    return f"{1e3 * float(seconds):.6f} ms"  # type: ignore[arg-type]


def lines_of(small: Shrunk, found: list[Check]) -> list[str]:
    """The checks as a table."""
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
