"""What happened when, as plain data, and as a file that ui.perfetto.dev (or chrome://tracing) draws.

One process per rank, one line in it for the program and one for its link to the network, and an arrow from each message's
sending to its receiving. The format is Chrome's ("Trace Event Format", 2016): complete events "X", flows from "s" to "f".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from minipar.comm.protocol import Communicator

TRACKS = ("program", "link")                                        # what the rank does; what its link carries meanwhile


@dataclass(frozen=True)
class Event:
    """One interval on one rank's timeline.

    rank, peer: world ranks. kind: "compute", "wait", "send" or "recv". begin, duration: seconds. bytes: of the message.
    flow: the message's name, the same at both its ends. track: one of TRACKS.
    """

    rank: int
    kind: str
    begin: float | Fraction
    duration: float | Fraction
    why: str
    op: str = ""
    peer: int | None = None
    bytes: int = 0
    flow: str = ""
    track: str = "program"

    @property
    def end(self) -> float | Fraction:
        return self.begin + self.duration


class Flows:
    """Gives a message the same name at both ends without a word exchanged, since messages of one tag keep their order."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, int, int, int]] = Counter()

    def name(self, comm: Communicator, kind: str, peer: int, tag: int) -> str:
        """The name of the next message that this rank sends to `peer` (kind "send") or receives from it ("recv")."""
        ends = (comm.rank, peer) if kind == "send" else (peer, comm.rank)
        key = (kind, comm.name, comm.members[ends[0]], comm.members[ends[1]], tag)
        self._counts[key] += 1
        return f"{comm.name}:{key[2]}>{key[3]}:{tag}:{self._counts[key]}"


def gather_events(comm: Communicator, events: Iterable[Event]) -> list[Event] | None:
    """All ranks' events on rank 0, times as floats; None on the others. Pass a communicator that is not traced itself."""
    why = "gather events"
    plain = [asdict(replace(event, begin=float(event.begin), duration=float(event.duration))) for event in events]
    mine = np.frombuffer(json.dumps(plain).encode(), np.uint8)
    if comm.rank != 0:
        comm.send(np.array([mine.size]), 0, why=why)
        comm.send(mine, 0, why=why)
        return None
    texts = [mine]
    for source in range(1, comm.size):
        length = comm.recv(np.empty(1, np.int64), source, why=why)[0]
        texts.append(comm.recv(np.empty(length, np.uint8), source, why=why))
    return [Event(**fields) for text in texts for fields in json.loads(text.tobytes())]


def chrome_trace(events: Iterable[Event]) -> dict[str, Any]:
    """The events of all ranks as a JSON-able document; times in microseconds, as the format wants them."""
    events = sorted(events, key=lambda event: (event.rank, TRACKS.index(event.track), event.begin))
    ends = [{event.flow for event in events if event.kind == kind} for kind in ("send", "recv")]
    complete = (ends[0] & ends[1]) - {""}
    rows: list[dict[str, Any]] = []
    for rank in sorted({event.rank for event in events}):
        about = [("process_name", 0, {"name": f"rank {rank}"}), ("process_sort_index", 0, {"sort_index": rank}),
                 *(("thread_name", tid, {"name": track}) for tid, track in enumerate(TRACKS))]
        rows += [{"ph": "M", "name": name, "pid": rank, "tid": tid, "args": args} for name, tid, args in about]
    for event in events:
        place = {"pid": event.rank, "tid": TRACKS.index(event.track)}
        begin, duration = float(event.begin) * 1e6, float(event.duration) * 1e6
        args = {"op": event.op, "peer": event.peer, "bytes": event.bytes} if event.peer is not None else {}
        rows.append({"ph": "X", "name": event.why or event.kind, "cat": event.kind, "ts": begin, "dur": duration,
                     **place, "args": args})
        if event.flow in complete:
            arrow = {"name": "message", "cat": "message", "id": event.flow, **place}
            if event.kind == "send":
                rows.append({"ph": "s", "ts": begin, **arrow})
            else:                                                   # "e": ends at the slice around ts, so just before its end
                rows.append({"ph": "f", "bp": "e", "ts": begin + 0.99 * duration, **arrow})
    return {"traceEvents": rows, "displayTimeUnit": "ms"}


def write_trace(path: str | Path, events: Iterable[Event]) -> None:
    """Write the events of all ranks to a file for ui.perfetto.dev."""
    Path(path).write_text(json.dumps(chrome_trace(events)), encoding="utf-8")
