"""Simulates a traced step, and computes the bytes on each link and the overlap of sending with computing."""

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
    """Simulates the traced schedule. The times of F, B and W of a stage are the medians of its measured
    times.

    message: bytes of one sample between two stages. The simulation assumes that all times, including the
    latency of messages, are proportional to the size of the micro-batch. If the trace is exact, the time for
    which an instruction waited for the link is subtracted from its measured time. `Ports` computes this
    waiting time again.
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
    links = Ports(schedule.ranks, {key: median(each)
                                   for key, each in talking.items()}) if trace.exact else None
    return simulate(schedule, Costs(**costs, message=network.seconds(message * largest, between=False),
                                    sizes=sizes), links)


def bytes_per_link(events: Iterable[Event]) -> dict[tuple[int, int], int]:
    """Returns a dict: (sender, receiver) -> bytes of all messages of the step."""
    links: Counter[tuple[int, int]] = Counter()
    for event in events:
        if event.kind == "send" and event.peer is not None:
            links[event.rank, event.peer] += event.bytes
    return dict(sorted(links.items()))


def overlap(events: Iterable[Event], rank: int) -> float | None:
    """Returns the fraction of this rank's sending time during which it also computed. Returns None if it sent
    no message.

    events: the events of each rank are sorted by begin. Example: the rank sends from 2 to 6 and computes from
    0 to 3 and from 5 to 7. It computes during 1 + 1 of these 4 seconds, so the result is 0.5.
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
    total_at_end = lengths.cumsum().reshape(-1, 1)
    # The computing time up to each edge. It is linear between edges, so np.interp gives it for every time.
    edges = np.r_[0.0, computing.ravel()]
    computed = np.r_[0.0, np.hstack((total_at_end - lengths, total_at_end)).ravel()]
    return float(np.diff(np.interp(sending, edges, computed)).sum() / total)
