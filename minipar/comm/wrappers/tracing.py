"""Records every message and every wait of a rank with its time, for a trace file and for plots.

    comm = Tracing(comm)
    with comm.span("forward"):
        ...
    events = gather_events(comm.inner, comm.events)                 # rank 0 gets the events of all ranks
    if events is not None:
        write_trace("run.json", events)                             # open it in ui.perfetto.dev

The start of a send is an event of kind "send". The wait for its end is a "wait". A receive is a "recv". It
lasts from the moment when this rank begins to wait for the message until the message has arrived. The trace
shows the messages of a collective, each with the name of the collective.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np

from minipar.comm.protocol import NOT_GIVEN, Communicator, Request
from minipar.comm.wrappers.labelled import Labelled
from minipar.comm.wrappers.timeline import Event, Flows

LETTERS = -1  # a tag t of a message with an envelope is stored as LETTERS - t


class Tracing(Labelled):
    """Keeps a list of events. Groups that are split off from this one write to the same list.

    now: a function that returns the time in seconds. The default is the monotonic clock of this host, which
    all ranks of the host share. For virtual time, pass `lambda: clock.now`, where `clock` is the
    `Clock` inside this wrapper (`inner`, or a wrapper below it).
    """

    def __init__(self, inner: Communicator, now: Callable[[], float | Fraction] = time.perf_counter,
                 events: list[Event] | None = None, flows: Flows | None = None) -> None:
        super().__init__(inner)
        self.now = now
        self.events: list[Event] = [] if events is None else events
        self._flows = Flows() if flows is None else flows
        self._under_way: dict[Request, str] = {}  # open receive -> the name of its message

    def _record(self, kind: str, begin: float | Fraction, request: Request, flow: str = "") -> None:
        self.events.append(Event(
            self.members[self.rank], kind, begin, self.now() - begin, request.label,
            self.op_of(request.kind, request.tag), self.members[request.peer], request.array.nbytes, flow))

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        begin = self.now()
        request = super().isend(array, dest, label=label, tag=tag)
        self._record("send", begin, request, self._flows.name(self, "send", dest, tag))
        return request

    def irecv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        request = super().irecv(out, source, label=label, tag=tag)
        self._under_way[request] = self._flows.name(self, "recv", source, tag)
        return request

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        begin = self.now()
        request = super().isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                        synchronous=synchronous)
        self._record("send", begin, request, self._flows.name(self, "send", dest, LETTERS - tag))
        return request

    def wait(self, request: Request) -> np.ndarray:
        begin = self.now()
        array = super().wait(request)
        self._finish(begin, request)
        return array

    def test(self, request: Request) -> bool:
        begin = self.now()
        done = super().test(request)
        if done and (request in self._under_way or request.type_code is not None):
            self._finish(begin, request)
        return done

    def _finish(self, begin: float | Fraction, request: Request) -> None:
        if request.type_code is not None and request.kind != "send":
            self._finish_letter(begin, request)
            return
        flow = self._under_way.pop(request, "")
        self._record("recv" if flow else "wait", begin, request, flow)

    def _finish_letter(self, begin: float | Fraction, request: Request) -> None:
        """Record a received message with an envelope. Its sender is known only when the message has arrived.
        """
        envelope = request.envelope
        if request.kind == "recv" and envelope is not None:
            flow = self._flows.name(self, "recv", envelope.source, LETTERS - envelope.tag)
            self.events.append(Event(self.members[self.rank], "recv", begin, self.now() - begin,
                                     request.label, "recv", self.members[envelope.source],
                                     envelope.nbytes, flow))

    @contextmanager
    def span(self, label: str) -> Iterator[None]:
        """A context that records the time of its block as an event of kind "compute".
        """
        begin = self.now()
        try:
            yield
        finally:
            self.events.append(Event(self.members[self.rank], "compute", begin, self.now() - begin, label))

    def wrap(self, part: Communicator) -> Communicator:
        return Tracing(part, self.now, self.events, self._flows)
