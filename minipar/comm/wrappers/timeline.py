"""Stores the events of a run as plain data, and writes them to a file for a trace viewer: ui.perfetto.dev or
chrome://tracing.

The viewer shows one process per rank, with one line for the program and one for the rank's link to the
network. An arrow leads from the send of each message to its receive. The format is Chrome's ("Trace Event
Format", 2016). In the file, an event is a slice with "ph": "X". An arrow (flow) has a start with "ph": "s"
and an end with "ph": "f".

Perfetto has more rules than the format:
* Times are whole nanoseconds. If a slice begins before the end of the previous slice on its line, Perfetto
  drops the slice.
* The name of an arrow is a number. No arrow may end before it begins. Perfetto draws an arrow from the slice
  that begins first. So the slice of the send must begin first. If a receiver waits before the send begins,
  `chrome_trace` makes a separate slice of this wait.
* Process 0 and thread 0 are reserved for the idle task of Linux.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any

from minipar.comm.collectives.gather_values import gathered_on_root
from minipar.comm.protocol import Communicator

TRACKS = ("program", "link")  # the lines of a rank: its program, and its link to the network


@dataclass(frozen=True)
class Event:
    """One interval on one rank's timeline.

    rank, peer: world ranks. kind: "compute", "wait", "send" or "recv". begin, duration: seconds. bytes: the
    size of the message. flow: the name of the message, which is the same at both ends. track: one of TRACKS.
    """

    rank: int
    kind: str
    begin: float | Fraction
    duration: float | Fraction
    label: str
    op: str = ""
    peer: int | None = None
    bytes: int = 0
    flow: str = ""
    track: str = "program"

    @property
    def end(self) -> float | Fraction:
        return self.begin + self.duration


class Flows:
    """Gives a message the same name at both ends. Each end counts the messages of a tag. The counts agree
    without communication, since messages with one tag keep their order.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int, int, int]] = Counter()

    def name(self, comm: Communicator, kind: str, peer: int, tag: int) -> str:
        """Returns the name of the next message that this rank sends to `peer` (kind "send") or receives from
        `peer` (kind "recv").
        """
        ends = (comm.rank, peer) if kind == "send" else (peer, comm.rank)
        key = (kind, comm.name, comm.members[ends[0]], comm.members[ends[1]], tag)
        self._counts[key] += 1
        return f"{comm.name}:{key[2]}>{key[3]}:{tag}:{self._counts[key]}"


def gather_events(comm: Communicator, events: Iterable[Event]) -> list[Event] | None:
    """Returns the events of all ranks on rank 0, with times as Fractions; None on the other ranks. comm: a
    communicator that does not record events itself.
    """
    rest_of = attrgetter("rank", "kind", "label", "op", "peer", "bytes", "flow", "track")
    own = [[str(Fraction(event.begin)), str(Fraction(event.duration)), *rest_of(event)] for event in events]
    rows = gathered_on_root(comm, own, "gather events")
    if rows is None:
        return None
    return [Event(rank, kind, Fraction(begin), Fraction(duration), *rest)
            for of_rank in rows for begin, duration, rank, kind, *rest in of_rank]


def chrome_trace(events: Iterable[Event]) -> dict[str, Any]:
    """Returns the events of all ranks as a document for JSON. The times of this format are in microseconds.
    """
    events = sorted(events, key=_order)
    sent, received = ({event.flow: event for event in events if event.kind == kind and event.flow}
                      for kind in ("send", "recv"))
    arrows = {flow: number for number, flow in enumerate(flow for flow in sent if flow in received)}
    rows = [row for rank in sorted({event.rank for event in events}) for row in _names(rank)]
    for event in events:
        begin, end = _nanoseconds(event.begin), _nanoseconds(event.end)
        arrow = {"name": "message", "cat": "message", "id": arrows.get(event.flow),
                 **_location(event.rank, event.track)}
        if (
            event.flow in arrows
            and event.kind == "recv"
            and begin < (under_way := _nanoseconds(sent[event.flow].begin))
        ):
            rows.append(_slice(event, "wait", begin, min(under_way, end)))
            begin = min(under_way, end)
        rows.append(_slice(event, event.kind, begin, end))
        if event.flow in arrows and event.kind == "send":
            rows.append({"ph": "s", "ts": begin / 1000, **arrow})
        elif event.flow in arrows:  # "bp": "e" ends the arrow at the slice that contains ts
            rows.append({"ph": "f", "bp": "e", "ts": max(begin, end - 1) / 1000, **arrow})
    return {"traceEvents": rows, "displayTimeUnit": "ms"}


def _slice(event: Event, kind: str, begin: int, end: int) -> dict[str, Any]:
    """Returns one slice of a line. begin, end: nanoseconds."""
    args = {"op": event.op, "peer": event.peer, "bytes": event.bytes} if event.peer is not None else {}
    return {"ph": "X", "name": event.label or event.kind, "cat": kind, "ts": begin / 1000,
            "dur": (end - begin) / 1000, **_location(event.rank, event.track), "args": args}


def _order(event: Event) -> tuple[bool, int, float | Fraction, bool, float | Fraction]:
    """Returns a key for sorting events. The events of links come first in the file, because the beginning of
    an arrow must come before its end.
    If slices begin at the same time, slices of length 0 come first, then the longest one.
    """
    return event.track == "program", event.rank, event.begin, event.duration > 0, -event.duration


def _nanoseconds(seconds: float | Fraction) -> int:
    """Returns a time in whole nanoseconds. The caller rounds both ends of a slice, not its length. So
    neighbouring slices still touch.
    """
    return round(seconds * 10**9)


def _location(rank: int, track: str) -> dict[str, int]:
    """Returns the numbers of process and thread, from 1.

    If a thread has the same number as its process, viewers show it above the other threads. Here only the
    first thread of rank 0 has the number of its process.
    """
    return {"pid": rank + 1, "tid": len(TRACKS) * rank + TRACKS.index(track) + 1}


def _names(rank: int) -> list[dict[str, Any]]:
    """Returns the rows that name a rank and its tracks, and set their order in the viewer."""
    about = [("process_name", TRACKS[0], {"name": f"rank {rank}"}),
             ("process_sort_index", TRACKS[0], {"sort_index": rank})]
    for number, track in enumerate(TRACKS):
        about += [("thread_name", track, {"name": track}),
                  ("thread_sort_index", track, {"sort_index": number})]
    return [{"ph": "M", "name": name, **_location(rank, track), "args": args} for name, track, args in about]


def write_trace(path: str | Path, events: Iterable[Event]) -> None:
    """Write the events of all ranks to a file for ui.perfetto.dev. Raises OSError with the file's name."""
    text = json.dumps(chrome_trace(events))
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        error.filename = error.filename or str(path)                # a full disk does not name the file
        raise
