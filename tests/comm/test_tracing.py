"""Tracing: every message leaves its events, and the file is what a trace viewer expects."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.comm.clock import Clock
from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.network import Network
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.timeline import Event, chrome_trace, gather_events, write_trace
from minipar.comm.tracing import Tracing
from tests.ranks import ranks


def malformed(document: dict[str, Any]) -> list[str]:
    """What a viewer of Chrome's JSON trace format could not draw: missing fields, slices that overlap, arrows with one end."""
    found, open_until, ends = [], {}, Counter()
    for row in document["traceEvents"]:
        needed = {"M": {"name", "args"}, "X": {"name", "cat", "ts", "dur", "args"}, "s": {"ts", "id"}, "f": {"ts", "id", "bp"}}
        missing = ({"ph", "pid", "tid"} | needed.get(row.get("ph"), {"a known ph"})) - set(row)
        if missing:
            found.append(f"{row.get('name')}: no {', '.join(sorted(missing))}")
        elif row["ph"] == "X":
            stack = open_until.setdefault((row["pid"], row["tid"]), [])
            while stack and stack[-1] <= row["ts"] + 1e-6:
                stack.pop()
            if row["dur"] < 0 or stack and row["ts"] + row["dur"] > stack[-1] + 1e-6:
                found.append(f"{row['name']}: overlaps its neighbour")
            stack.append(row["ts"] + row["dur"])
        elif row["ph"] in "sf":
            ends[row["id"]] += 1 if row["ph"] == "s" else 1j
    return found + [f"{name}: an arrow with one end" for name, both in ends.items() if both != 1 + 1j]


def traced(comm: Communicator) -> list[Event] | None:
    tracing = Tracing(comm)
    with tracing.span("forward"):
        all_reduce(tracing, np.ones(8), why="gradients", algorithm="ring")
    pair = tracing.split(tracing.rank % 2, why="pair")
    assert pair is not None
    right, left = (pair.rank + 1) % pair.size, (pair.rank - 1) % pair.size
    pair.sendrecv(np.zeros(2), right, np.empty(2), left, why="pipeline forward 0", tag=3)
    return gather_events(comm, tracing.events)


@ranks(3, 4)
def test_events_of_all_ranks_come_together(comm: Communicator) -> None:
    events = traced(comm)
    assert (events is None) == (comm.rank > 0)
    if events is not None:
        p = comm.size
        kinds = Counter((event.kind, event.op) for event in events)
        steps = 2 * (p - 1) * p
        assert kinds == {
            ("send", "all_reduce sum"): steps, ("recv", "all_reduce sum"): steps, ("wait", "all_reduce sum"): steps,
            ("send", "send"): p, ("recv", "recv"): p, ("wait", "send"): p, ("compute", ""): p}
        assert {event.rank for event in events} == set(range(p)) and all(event.duration >= 0 for event in events)
        assert {event.bytes for event in events if event.op == "send"} == {16}
        arrows = Counter(row["ph"] for row in chrome_trace(events)["traceEvents"])
        assert arrows["s"] == arrows["f"] == steps + p              # each message has its arrow


def test_the_file_can_be_drawn(tmp_path: Path) -> None:
    events = run(4, traced)[0]
    write_trace(tmp_path / "trace.json", events)
    document = json.loads((tmp_path / "trace.json").read_text())
    assert malformed(document) == []
    names = {row["args"]["name"] for row in document["traceEvents"] if row["name"] == "process_name"}
    assert names == {"rank 0", "rank 1", "rank 2", "rank 3"}


def test_a_clock_gives_the_times() -> None:
    def body(comm: Communicator) -> tuple[list[Event], list[Event]]:
        clock = Clock(comm, Network(alpha=0.25, beta=0), flops_per_second=1)
        tracing = Tracing(clock, now=lambda: clock.now)
        with tracing.span("forward"):
            clock.compute(2, "forward")
        tracing.sendrecv(np.zeros(1), 1 - comm.rank, np.empty(1), 1 - comm.rank, why="swap")
        return tracing.events, clock.timeline

    (traced, timed), _ = run(2, body)
    assert [(event.kind, event.begin, event.duration) for event in traced] == [
        ("compute", 0, 2), ("send", 2, 0), ("recv", 2, 0.25), ("wait", 2.25, 0)]
    assert [(event.kind, event.track, event.begin, event.end) for event in timed] == [
        ("compute", "program", 0, 2), ("send", "link", 2, 2.25), ("recv", "program", 2, 2.25)]
    everything = chrome_trace(event for _, timeline in run(2, body) for event in timeline)
    assert malformed(everything) == [] and sum(row["ph"] == "s" for row in everything["traceEvents"]) == 2


def slice_at(begin: float, duration: float, **more: Any) -> Event:
    return Event(0, "send", begin, duration, "x", peer=1, **more)


@pytest.mark.parametrize("spoil, complaint", [
    (lambda rows: rows[-1].pop("pid"), "no pid"),
    (lambda rows: rows[-1].update(ph="?"), "no a known ph"),
    (lambda rows: rows.append(dict(rows[-1], ts=0.5e6)), "overlaps"),
    (lambda rows: rows.append(dict(rows[-1], ph="s", id="m")), "one end")])
def test_the_check_of_the_file_can_fail(spoil: Any, complaint: str) -> None:
    document = chrome_trace([slice_at(0.0, 1.0)])
    assert malformed(document) == []
    spoil(document["traceEvents"])
    assert any(complaint in line for line in malformed(document))


def test_a_message_that_never_arrived_has_no_arrow() -> None:
    assert not [row for row in chrome_trace([slice_at(0.0, 1.0, flow="lost")])["traceEvents"] if row["ph"] in "sf"]
