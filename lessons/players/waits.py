"""The wait graph player's runs: five programs, each executed on threads until minipar reports its deadlock."""

from __future__ import annotations

import functools
import html
import inspect
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from minipar.lessons.players import deadlocks

import minipar as mp
from minipar.comm.diagnostics.call_site import caller, count_as_inside
from minipar.comm.protocol import NOT_GIVEN, Request
from minipar.comm.wrappers.base import Wrapper
from minipar.errors import CommError

TITLE = "Five deadlocks, step by step"
DOES = (
    "Choose a program and step. An arrow leads from a rank that waits to the rank for which it waits. Predict: after "
    "which step can no rank continue? The last step is minipar's message."
)

count_as_inside(__file__)               # a call's line is the program's, not one of this file

RankProgram = Callable[[mp.Communicator], None]
PROGRAMS: dict[
    str, tuple[RankProgram, int, bool]
] = {  # name -> program, ranks, whether a send waits for its receive
    "receive first": (deadlocks.receive_first, 2, False),
    "send first": (deadlocks.send_first, 2, True),
    "ring": (deadlocks.ring, 4, False),
    "only rank 0": (deadlocks.only_rank_zero, 3, False),
    "pipeline": (deadlocks.pipeline, 3, False),
}


@dataclass(frozen=True)
class Happening:
    """A rank begins to wait (peer: for whom), goes on (peer: None), or has finished (call: "").

    time: a logical clock (Lamport 1978): it grows along a rank, and from a send to its receive. So the order of the
    happenings does not depend on how fast threads run.
    """

    time: int
    rank: int
    call: str
    line: int
    peer: int | None


@dataclass
class Log:
    """What all ranks have done. clocks: of each rank. sent: the sender's clocks of messages that have not arrived."""

    ranks: int
    happenings: list[Happening] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.clocks = [0] * self.ranks
        self.sent: dict[tuple[int, int], list[int]] = {}

    def add(self, rank: int, call: str, line: int, peer: int | None = None) -> None:
        with self.lock:
            self.clocks[rank] += 1
            self.happenings.append(Happening(self.clocks[rank], rank, call, line, peer))

    def starts(self, sender: int, receiver: int) -> None:
        with self.lock:
            self.sent.setdefault((sender, receiver), []).append(self.clocks[sender] + 1)

    def arrives(self, sender: int, receiver: int) -> None:
        with self.lock:
            self.clocks[receiver] = max(self.clocks[receiver], self.sent[sender, receiver].pop(0))


class Watched(Wrapper):
    """Notes when this rank starts to wait, and when it goes on."""

    def __init__(self, inner: mp.Communicator, log: Log) -> None:
        super().__init__(inner)
        self.log = log

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        self.log.starts(self.rank, dest)
        return super().isend(array, dest, label=label, tag=tag)

    def wait(self, request: Request) -> np.ndarray:
        call, location = caller()
        line = int(location.rsplit(":", 1)[1])
        if not request.done:
            self.log.add(self.rank, call, line, request.peer)
        array = super().wait(request)
        if request.kind == "recv":
            self.log.arrives(request.peer, self.rank)
        self.log.add(self.rank, call, line)
        return array


def execute(program: RankProgram, ranks: int, synchronous: bool) -> tuple[list[Happening], str]:
    """What happened, in the order of the logical clock, and the message at the end."""
    log = Log(ranks)

    def one_rank(comm: mp.Communicator) -> None:
        program(Watched(comm, log))
        log.add(comm.rank, "", 0)

    try:
        mp.run(ranks, one_rank, checked=False, synchronous=synchronous)
    except CommError as error:
        # which of the waiting ranks finds the deadlock depends on the threads, so its name is left out
        message = re.sub(r"^rank \d+ of \d+: ", "", str(error))
        return sorted(log.happenings, key=lambda one: (one.time, one.rank)), message
    raise CommError(f"{program.__name__} did not deadlock")


@functools.cache
def recorded() -> Any:
    """name -> about, ranks, code (first: the line of its first one), steps: [rank, call, line, peer], message."""
    found = {}
    for name, (program, ranks, synchronous) in PROGRAMS.items():
        happenings, message = execute(program, ranks, synchronous)
        lines, first = inspect.getsourcelines(program)
        steps = [[one.rank, one.call, one.line, one.peer] for one in happenings]
        found[name] = {"about": inspect.getdoc(program), "ranks": ranks, "code": "".join(lines).rstrip(), "first": first,
                       "steps": steps, "message": message}
    return found


def plain() -> str:
    return "".join(f"<p>{html.escape(run['about'])}</p><pre>{html.escape(run['code'])}</pre>"
                   f"<p>{html.escape(run['message'])}</p>" for run in recorded().values())
