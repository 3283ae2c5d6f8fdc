"""What would this run take on a cluster? Each rank carries a clock: eight ranks on two cores tell the time of
eight machines.

    clock = Clock(comm, Network(alpha=5e-6, beta=1e-10), flops_per_second=1e13)
    clock.compute(2 * m * n * k, "forward")
    all_reduce(clock, gradient, label="gradients")
    float(clock.now)                                                # seconds of virtual time on this rank

Computing advances the clock, in one of two ways. With `flops_per_second` by what `compute` is told, over that
rate: exact, and the same on every run and every engine. Without it by the CPU time of this rank's thread;
time spent within `comm/` engines does not count.

A message of n bytes, sent at t, arrives at t + alpha + n beta (`minipar.comm.wrappers.network`). Until then
it keeps the sender's outgoing port busy, and the receiver's incoming port for the last alpha + n beta
seconds; where a port is taken, the message waits for the first gap that fits. The receiver does not hold the
sender up: a message that finds the incoming port taken queues in front of it. To wait for a receive is to
wait for its arrival; to wait for a send is to wait until the port is free of it. A message to oneself is
free.

Collectives cost what their messages cost. Each runs on a timeline of its own that begins where it is entered,
as if a network card drove it, and `wait` makes the rank catch up. So a non-blocking one overlaps with
computing, whatever `test` is called in between.

Each message travels with a stamp, a second small message (64 bytes, unsigned integers) that says when it
arrives. So wrappers within the clock see two messages for one. Stack them as
Counting(Tracing(Faults(Clock(Checking(engine))))): outside, nothing changes. What passes below the clock
takes no time: making groups, and what Checking compares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import label_or_place, this_call
from minipar.comm.protocol import NOT_GIVEN, Communicator, Request
from minipar.comm.refusals import check_message
from minipar.comm.wrappers.clocked_messages import ClockedMessages
from minipar.comm.wrappers.network import Network, Port, exact, pack_time, unpack_time
from minipar.comm.wrappers.timeline import Event, Flows
from minipar.errors import CommError, ConfigError


@dataclass
class RankTime:
    """One rank's time, shared by all the groups that the rank belongs to."""

    network: Network
    rate: Fraction | None                                           # FLOPs per second; None: CPU time counts
    nodes: tuple[int, ...]                                          # of each world rank
    now: Fraction = Fraction(0)
    outgoing: Port = field(default_factory=Port)
    incoming: Port = field(default_factory=Port)
    timeline: list[Event] = field(default_factory=list)
    flows: Flows = field(default_factory=Flows)
    # this thread's CPU time when it last left the clock
    cpu: int = field(default_factory=time.thread_time_ns)
    owner: tuple[object, int] | None = None  # whose work it does since: a collective's, or the program's

    def advance(self, rank: int, until: Fraction, kind: str, label: str, **about: Any) -> None:
        """To receive a message that has long been there takes no time, but is seen."""
        until = max(until, self.now)
        if until > self.now or kind == "recv":
            self.timeline.append(Event(rank, kind, self.now, until - self.now, label, **about))
            self.now = until


@dataclass
class Passage:
    """A message on its way: its stamp's request, when it is through (once known), its name, when it was last
    tested for.
    """

    stamp: Request
    end: Fraction | None
    flow: str
    tested: Fraction | None = None


class Clock(ClockedMessages):
    """Gives this rank virtual time. Groups split off from this one share it.

    nodes: the node of each rank, to lay ranks out on nodes that this machine does not have (default: where
    they really are). `timeline` is a list of events: "compute", "wait" and "recv" on the track "program",
    which never overlap; "send" on the track "link", from a message's start to its arrival. Raises ConfigError
    for a rate or nodes that cannot be.
    """

    _time: RankTime

    def __init__(self, inner: Communicator, network: Network, flops_per_second: float | None = None,
                 nodes: Sequence[int] | None = None, shared: RankTime | None = None) -> None:
        super().__init__(inner)
        if flops_per_second is not None and not 0 < flops_per_second < math.inf:
            raise ConfigError(f"a rank cannot compute {flops_per_second} FLOPs per second; give a positive "
                              "number")
        if nodes is not None and len(nodes) != inner.size:
            raise ConfigError(f"{len(nodes)} nodes given for {inner.size} ranks; name the node of each rank")
        if shared is None:
            rate = None if flops_per_second is None else exact(flops_per_second)
            shared = RankTime(network, rate, tuple(inner.nodes if nodes is None else nodes))
        self._time = shared
        self._me = self.members[self.rank]
        self.nodes = tuple(shared.nodes[member] for member in self.members)
        self._passing: dict[Request, Passage] = {}
        self._lines: dict[int, Fraction] = {}                       # tag of a collective -> its own time

    @property
    def native(self) -> None:
        """The MPI library's own collectives have no messages that a clock could see."""
        return None

    @property
    def now(self) -> Fraction:
        """This rank's time in seconds."""
        with self._inside():
            return self._time.now

    @property
    def timeline(self) -> list[Event]:
        return self._time.timeline

    def restart(self) -> None:
        """Begin at 0 again, with an empty timeline. All ranks call it, and no message may be on its way."""
        rank = self._time
        rank.now, rank.outgoing, rank.incoming, rank.owner = Fraction(0), Port(), Port(), None
        rank.timeline.clear()
        rank.cpu = time.thread_time_ns()

    def compute(self, flops: float, label: str) -> None:
        """Say that this rank has just computed so many FLOPs. By CPU time, what counts is the time since the
        last call.
        """
        if flops < 0:
            raise ConfigError(f"rank {self._me}: compute '{label}' of {flops} FLOPs; give 0 or more")
        with self._inside(label=label):
            if self._time.rate is not None:
                self._time.advance(self._me, self._time.now + exact(flops) / self._time.rate, "compute",
                                   label)

    def sleep(self, seconds: float, label: str = "sleep") -> None:
        """Let time pass, as for a rank that is held up."""
        with self._inside():
            self._time.advance(self._me, self._time.now + exact(seconds), "wait", label)

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        label = label_or_place(label)
        check_message(self, "send", array, dest, label, tag)
        with self._inside(tag):
            cost = self._cost(dest, array.nbytes)
            end = self._time.outgoing.carry(self._lines.get(tag, self._time.now), cost)
            stamp = super().isend(pack_time(end), dest, label=label, tag=tag)
            request = super().isend(array, dest, label=label, tag=tag)
            flow = self._time.flows.name(self, "send", dest, tag)
            self._passing[request] = Passage(stamp, end, flow)
            self._time.timeline.append(Event(self._me, "send", end - cost, cost, label,
                                             self.op_of("send", tag),
                                             self.members[dest], array.nbytes, flow, "link"))
            return request

    def irecv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        with self._inside(tag):
            stamp = super().irecv(np.empty_like(pack_time(Fraction(0))), source, label=label, tag=tag)
            request = super().irecv(out, source, label=label, tag=tag)
            self._passing[request] = Passage(stamp, None, self._time.flows.name(self, "recv", source, tag))
            return request

    def wait(self, request: Request) -> np.ndarray:
        if request.type_code is not None:
            return self.wait_message(request)
        with self._inside(request.tag):
            if passage := self._passing.pop(request, None):
                super().wait(passage.stamp)
                super().wait(request)
                self._pass(request, passage)
            return request.array

    def test(self, request: Request) -> bool:
        """Whether the message is there by this rank's clock.

        With FLOPs as time, the answer must not depend on how fast this machine is just now. So the message is
        not there when it is first asked for; who asks again with no time in between has nothing else to do,
        and waits for it.
        """
        if request.type_code is not None:
            return self.test_message(request)
        passage = self._passing.get(request)
        if passage is None:
            return True
        if self._time.rate is not None:
            if passage.tested != self._time.now:
                passage.tested = self._time.now
                return False
            self.wait(request)
            return True
        with self._inside():
            if not (super().test(passage.stamp)
                    and super().test(request)) or self._arrival(request, passage) > self._time.now:
                return False
            self._pass(request, self._passing.pop(request))
            return True

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        with self._inside():
            tag = super().entering(op, shape, dtype, label=label, **agreed)
            self._lines[tag] = self._time.now
            return tag

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        raise CommError(f"{this_call(self, label, 'shared')}: a clock times messages, and shared memory has "
                        "none; choose another way")

    def wrap(self, part: Communicator) -> Communicator:
        return Clock(part, self._time.network, shared=self._time)

    def _cost(self, peer: int, nbytes: int) -> Fraction:
        if peer == self.rank:
            return Fraction(0)
        return self._time.network.seconds(nbytes, between=self.nodes[peer] != self.nodes[self.rank])

    def _arrival(self, request: Request, passage: Passage) -> Fraction:
        """When the message is through this rank's port. For a receive, the first call takes the incoming
        port.
        """
        if passage.end is None:
            cost = self._cost(request.peer, request.array.nbytes)
            passage.end = self._time.incoming.carry(unpack_time(passage.stamp.array) - cost, cost)
        return passage.end

    def _pass(self, request: Request, passage: Passage) -> None:
        """The message is there: its collective goes on from then, and this rank has waited until then."""
        end = self._arrival(request, passage)
        if request.tag in self._lines:
            end = self._lines[request.tag] = max(end, self._lines[request.tag])
            self._time.owner = self, request.tag
        kind = "recv" if request.kind == "recv" else "wait"
        self._time.advance(self._me, end, kind, request.label, op=self.op_of(request.kind, request.tag),
                           peer=self.members[request.peer], bytes=request.array.nbytes,
                           flow=passage.flow if kind == "recv" else "")

    @contextmanager
    def _inside(self, tag: int | None = None, label: str = "") -> Iterator[None]:
        """Book the CPU time since the last call, and let none pass within this one.

        Between two calls of one collective, after one of its messages has come, it is the collective that
        computes: it adds.
        """
        rank = self._time
        if rank.rate is None:
            elapsed = Fraction(time.thread_time_ns() - rank.cpu, 10**9)
            if tag is not None and rank.owner == (self, tag):
                self._lines[tag] += elapsed
            else:
                rank.advance(self._me, rank.now + elapsed, "compute", label)
            rank.owner = None
        try:
            yield
        finally:
            rank.cpu = time.thread_time_ns()
