"""Tracing: every message leaves its events, and the file is what a trace viewer expects."""

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event, chrome_trace, gather_events, write_trace
from minipar.comm.wrappers.tracing import Tracing
from tests.ranks import ranks


def lost(document: dict[str, Any]) -> list[str]:
    """What Perfetto would not show of a document: it imports rows in the order of their times, as whole
    nanoseconds.
    """
    found, lines, begun = [], {}, {}
    needed = {"M": {"name", "args"}, "X": {"name", "cat", "ts", "dur", "args"}, "s": {"ts", "id"},
              "f": {"ts", "id", "bp"}}
    for row in sorted(document["traceEvents"], key=lambda row: round(1000 * row.get("ts", -1))):
        missing = ({"ph", "pid", "tid"} | needed.get(row.get("ph"), {"a known ph"})) - set(row)
        if missing:
            found.append(f"{row.get('name')}: no {', '.join(sorted(missing))}")
            continue
        if not row["pid"] or not row["tid"]:
            found.append(f"{row['name']}: 0 is the idle task")
        # slices that may be open: (end, begin, name), innermost last
        around = lines.setdefault((row["pid"], row["tid"]), [])
        if row["ph"] == "X":
            begin, length = round(1000 * row["ts"]), round(1000 * row["dur"])
            while around and (around[-1][0] < begin or around[-1][0] == begin and length):
                around.pop()
            if length < 0 or around and begin < around[-1][0] < begin + length:
                found.append(f"{row['name']}: overlaps its neighbour")
            around.append((begin + length, begin, row["name"]))
        elif row["ph"] == "s" and isinstance(row["id"], int) and around:
            begun[row["id"]] = around[-1][1:]
        elif row["ph"] in "sf":
            begin, name = begun.pop(row["id"], (0, None))
            if not around or name != around[-1][2]:
                found.append(f"{row['id']}: an arrow without its ends")
            elif around[-1][1] < begin:
                found.append(f"{name}: an arrow that is drawn the wrong way round")
    return found + [f"{name}: an arrow with one end" for name in begun]


def traced(comm: Communicator) -> list[Event] | None:
    tracing = Tracing(comm)
    with tracing.span("forward"):
        all_reduce(tracing, np.ones(8), label="gradients", algorithm="ring")
    pair = tracing.split(tracing.rank % 2, label="pair")
    assert pair is not None
    right, left = (pair.rank + 1) % pair.size, (pair.rank - 1) % pair.size
    pair.sendrecv(np.zeros(2), right, np.empty(2), left, label="pipeline forward 0", tag=3)
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
            ("send", "all_reduce sum"): steps, ("recv", "all_reduce sum"): steps,
            ("wait", "all_reduce sum"): steps,
            ("send", "send"): p, ("recv", "recv"): p, ("wait", "send"): p, ("compute", ""): p}
        assert {event.rank
                for event in events} == set(range(p)) and all(event.duration >= 0 for event in events)
        assert {event.bytes for event in events if event.op == "send"} == {16}
        arrows = Counter(row["ph"] for row in chrome_trace(events)["traceEvents"])
        assert arrows["s"] == arrows["f"] == steps + p              # each message has its arrow


def test_the_file_can_be_drawn(tmp_path: Path) -> None:
    events = run(4, traced)[0]
    write_trace(tmp_path / "trace.json", events)
    document = json.loads((tmp_path / "trace.json").read_text())
    assert lost(document) == []
    names = {row["args"]["name"] for row in document["traceEvents"] if row["name"] == "process_name"}
    assert names == {"rank 0", "rank 1", "rank 2", "rank 3"}


def test_a_clock_gives_the_times() -> None:
    def body(comm: Communicator) -> tuple[list[Event], list[Event]]:
        clock = Clock(comm, Network(alpha=0.25, beta=0), flops_per_second=1)
        tracing = Tracing(clock, now=lambda: clock.now)
        with tracing.span("forward"):
            clock.compute(2, "forward")
        tracing.sendrecv(np.zeros(1), 1 - comm.rank, np.empty(1), 1 - comm.rank, label="swap")
        return tracing.events, clock.timeline

    (traced, timed), _ = run(2, body)
    assert [(event.kind, event.begin, event.duration) for event in traced] == [
        ("compute", 0, 2), ("send", 2, 0), ("recv", 2, 0.25), ("wait", 2.25, 0)]
    assert [(event.kind, event.track, event.begin, event.end) for event in timed] == [
        ("compute", "program", 0, 2), ("send", "link", 2, 2.25), ("recv", "program", 2, 2.25)]
    everything = chrome_trace(event for _, timeline in run(2, body) for event in timeline)
    assert lost(everything) == [] and sum(row["ph"] == "s" for row in everything["traceEvents"]) == 2


@pytest.mark.parametrize("alpha", [0, 7.5e-9, Fraction(1, 3)])
def test_no_rounding_makes_neighbours_overlap(alpha: float | Fraction) -> None:
    """Times that are no whole nanoseconds, and messages that take no time."""
    def body(comm: Communicator) -> list[Event] | None:
        clock = Clock(comm, Network(alpha, beta=0), flops_per_second=3e9)
        for step in range(5):
            clock.compute(2 + comm.rank, "forward")
            if comm.rank == 0:
                clock.send(np.zeros(4), 1, label=f"early {step}")
            all_reduce(clock, np.ones(8), label=f"gradients {step}", algorithm="ring")
            if comm.rank == 1:
                # takes no time, and the next one begins with it
                clock.recv(np.empty(4), 0, label=f"early {step}")
            all_reduce(clock, np.ones(8), label=f"norm {step}", algorithm="ring")
        return gather_events(comm, clock.timeline)

    events = run(3, body)[0]
    document = chrome_trace(events)
    assert lost(document) == []
    assert sum(row["ph"] == "f"
               for row in document["traceEvents"]) == sum(event.kind == "send" for event in events) > 0


def slice_at(begin: float, duration: float, **more: Any) -> Event:
    return Event(0, "send", begin, duration, "x", peer=1, **more)


@pytest.mark.parametrize("spoil, complaint", [
    (lambda rows: rows[-1].pop("pid"), "no pid"),
    (lambda rows: rows[-1].update(ph="?"), "no a known ph"),
    (lambda rows: rows.append(dict(rows[-1], ts=0.5e6)), "overlaps"),
    (lambda rows: rows[-1].update(pid=0), "idle"),
    (lambda rows: rows.extend([dict(rows[-1], tid=9, ts=-1, dur=9e6), dict(rows[-1], ph="s", ts=0, id=5),
                               dict(rows[-1], ph="f", bp="e", ts=1, tid=9, id=5)]), "the wrong way round"),
    (lambda rows: rows.append(dict(rows[-1], ph="s", id=5)), "one end"),
    (lambda rows: rows.append(dict(rows[-1], ph="s", id="m")), "without its ends"),
    (lambda rows: rows.append(dict(rows[-1], ph="f", bp="e", id=5)), "without its ends")])
def test_the_check_of_the_file_can_fail(spoil: Any, complaint: str) -> None:
    document = chrome_trace([slice_at(0.0, 1.0)])
    assert lost(document) == []
    spoil(document["traceEvents"])
    assert any(complaint in line for line in lost(document))


def test_a_message_that_never_arrived_has_no_arrow() -> None:
    assert not [row for row in chrome_trace([slice_at(0.0, 1.0, flow="lost")])["traceEvents"]
                if row["ph"] in "sf"]
