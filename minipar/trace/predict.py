"""What the schedule's simulation says of a traced step, and what its messages cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from statistics import median

import numpy as np

from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event
from minipar.records import Number
from minipar.schedules.costs import Costs
from minipar.schedules.simulate import Timeline, simulate
from minipar.trace.ports import Ports
from minipar.trace.step import StepTrace


def predicted(trace: StepTrace, network: Network, message: int) -> Timeline:
    """The same schedule simulated, with each stage's own times for F, B and W: the medians of those measured.

    message: bytes of one sample between two stages. Micro-batches' sizes scale all times, the messages'
    latency too. Where the trace is exact, the time that an instruction queued for its rank's link is none of
    its own: `Ports` find it anew.
    """
    schedule, largest = trace.schedule, max(trace.samples)
    sizes = [Fraction(samples, largest) for samples in trace.samples]
    times: dict[tuple[str, int], list[Fraction]] = defaultdict(list)
    talking: dict[tuple[str, int], list[Fraction]] = defaultdict(list)
    for one in (one for row in trace.intervals for one in row):
        kind, stage, micro = one.instruction
        queued = one.queued if trace.exact else Fraction(0)
        times[kind, stage].append((one.end - one.begin - queued) / sizes[micro])
        talking[kind, stage].append(one.talking)
    costs: dict[str, list[Number]] = {
        kind: [median(times.get((kind, stage), [Fraction(0)])) for stage in range(schedule.stages)]
        for kind in "FBW"}
    links = Ports(schedule.ranks, {key: median(each) for key,
                                   each in talking.items()}) if trace.exact else None
    return simulate(schedule, Costs(**costs, message=network.seconds(message * largest, between=False),
                                    sizes=sizes), links)


def bytes_per_link(events: Iterable[Event]) -> dict[tuple[int, int], int]:
    """(sender, receiver) -> bytes, of all messages of the step."""
    links: Counter[tuple[int, int]] = Counter()
    for event in events:
        if event.kind == "send" and event.peer is not None:
            links[event.rank, event.peer] += event.bytes
    return dict(sorted(links.items()))


def overlap(events: Iterable[Event], rank: int) -> float | None:
    """The share of the time in which this rank's link was busy sending that the rank spent computing; None
    without messages.

    events: of each rank from the first to the last.
    """
    times: dict[str, list[tuple[float, float]]] = {"compute": [], "send": []}
    for event in events:
        if event.rank == rank and event.kind in times:
            times[event.kind].append((float(event.begin), float(event.end)))
    computing, sending = (np.array(times[kind]).reshape(-1, 2)
                          for kind in ("compute", "send"))              # [n, 2]
    total = np.diff(sending).sum()
    if not total:
        return None
    lengths = np.diff(computing)                                    # [n, 1]
    done = lengths.cumsum().reshape(-1, 1)
    edges, computed = np.r_[0.0, computing.ravel()], np.r_[0.0, np.hstack((done - lengths, done)).ravel()]
    return float(np.diff(np.interp(sending, edges, computed)).sum() / total)
