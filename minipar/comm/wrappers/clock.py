"""Measures virtual time: the time that this run would take on a cluster. Each rank has its own clock. So
eight ranks that share two cores get the times that they would have on eight machines.

    clock = Clock(comm, Network(alpha=5e-6, beta=1e-10), flops_per_second=1e13)
    clock.compute(2 * m * n * k, "forward")
    all_reduce(clock, gradient, label="gradients")
    float(clock.now)                                                # seconds of virtual time on this rank

Computing advances the clock. With `flops_per_second`, the clock advances by the FLOPs given to `compute`,
divided by this rate. This time is exact and the same in every run and with every engine. Without
`flops_per_second`, the clock advances by the CPU time of this rank's thread. CPU time inside `comm/` does not
count.

**Ports.** A message of n bytes costs c = alpha + n beta seconds (`minipar.comm.wrappers.network`). The
sender's outgoing port carries it in the first free interval of c seconds. The receiver's incoming port
carries it in its first free interval of c seconds that does not begin before the sender's interval. A busy
incoming port delays the receiver, but not the sender. The wait for a send ends when the outgoing port has
carried the message. The wait for a receive ends when the incoming port has carried it. A message from a rank
to itself takes no time.

Example with c = 1: at time 0, ranks 0 and 1 send to rank 2, which receives from rank 0 first.

                        rank 0 -> 2     rank 1 -> 2
    outgoing port        0 to 1          0 to 1         (of ranks 0 and 1)
    incoming port        0 to 1          1 to 2         (of rank 2: the first free interval after 1)
    rank 2's clock       1               2

**Stamps.** Each message is sent together with a stamp, which is a second, small message (64 bytes, unsigned
integers). The stamp holds the time at which the interval of the outgoing port ends. In the example, this is 1
for both messages. Wrappers inside the clock see two messages for each message of the program; wrappers
outside see one. Stack the wrappers as Counting(Tracing(Faults(Clock(Checking(engine))))). The creation of
groups and the comparisons of Checking take no virtual time.

**Lines.** A collective costs as much time as its messages. Each collective has its own line of time, as if a
network card executed it. The line begins when the rank enters the collective. `wait` advances the rank's
clock to the end of the line. So a non-blocking collective overlaps with computing, even if the program never
calls `test`. Example: a collective starts at 0 and its messages end at 4. The rank computes until 3, then
waits. Its clock then reads 4, not 7.
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

from minipar.comm.diagnostics.call_site import label_or_call_site, this_call
from minipar.comm.protocol import NOT_GIVEN, Communicator, Request
from minipar.comm.refusals import check_message
from minipar.comm.wrappers.clocked_messages import ClockedMessages
from minipar.comm.wrappers.network import Network, Port, exact, pack_time, unpack_time
from minipar.comm.wrappers.timeline import Event, Flows
from minipar.errors import CommError, ConfigError


@dataclass
class RankTime:
    """The time of one rank. All groups to which the rank belongs share it."""

    network: Network
    rate: Fraction | None  # FLOPs per second; None if the clock uses CPU time
    nodes: tuple[int, ...]                                          # node of each world rank
    now: Fraction = Fraction(0)
    outgoing: Port = field(default_factory=Port)
    incoming: Port = field(default_factory=Port)
    timeline: list[Event] = field(default_factory=list)
    flows: Flows = field(default_factory=Flows)
    # this thread's CPU time when the last call of a clock method ended
    cpu: int = field(default_factory=time.thread_time_ns)
    # the collective that has used the CPU time since `cpu`; None if the program has used it
    owner: tuple[object, int] | None = None

    def advance(self, rank: int, until: Fraction, kind: str, label: str, **about: Any) -> None:
        """Advance the clock to `until`, and record the event. An event that takes no time is not recorded,
        except the receive of a message that has arrived earlier.
        """
        until = max(until, self.now)
        if until > self.now or kind == "recv":
            self.timeline.append(Event(rank, kind, self.now, until - self.now, label, **about))
            self.now = until


@dataclass
class Passage:
    """A message in flight. stamp: the request of its stamp. end: the time at which this rank's port has
    carried the message; None until it is known. flow: the name of the message in the timeline. tested: the
    time of this rank's clock at the last failed test.
    """

    stamp: Request
    end: Fraction | None
    flow: str
    tested: Fraction | None = None


class Clock(ClockedMessages):
    """Measures this rank's virtual time. Groups that are split off from this one share this time.

    nodes: the node of each rank, to simulate nodes that this machine does not have (default: the real ones).
    `timeline` is a list of events. The events "compute", "wait" and "recv" are on the track "program" and
    never overlap. An event "send" is on the track "link": it is the interval of the outgoing port. Raises
    ConfigError for an invalid rate or invalid nodes.
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
        self._lines: dict[int, Fraction] = {}  # tag of a collective -> the time of its line

    @property
    def native(self) -> None:
        """Returns None, since a clock cannot see the messages of the MPI library's own collectives."""
        return None

    @property
    def now(self) -> Fraction:
        """Returns the time of this rank in seconds."""
        with self._inside():
            return self._time.now

    @property
    def timeline(self) -> list[Event]:
        return self._time.timeline

    def restart(self) -> None:
        """Restart at time 0 with an empty timeline. All ranks call this method while no message is in flight.
        """
        rank = self._time
        rank.now, rank.outgoing, rank.incoming, rank.owner = Fraction(0), Port(), Port(), None
        rank.timeline.clear()
        rank.cpu = time.thread_time_ns()

    def compute(self, flops: float, label: str) -> None:
        """Record that this rank has just computed `flops` FLOPs. Without `flops_per_second`, the clock
        advances by the CPU time since the last call instead.
        """
        if flops < 0:
            raise ConfigError(f"rank {self._me}: compute '{label}' of {flops} FLOPs; give 0 or more")
        with self._inside(label=label):
            if self._time.rate is not None:
                self._time.advance(self._me, self._time.now + exact(flops) / self._time.rate, "compute",
                                   label)

    def sleep(self, seconds: float, label: str = "sleep") -> None:
        """Advance the clock by `seconds`, to simulate a delayed rank."""
        with self._inside():
            self._time.advance(self._me, self._time.now + exact(seconds), "wait", label)

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        label = label_or_call_site(label)
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
        """Returns whether the message has arrived by the time of this rank's clock.

        With `flops_per_second`, the answer must not depend on the speed of this machine. So the first test
        returns False. If a second test comes at the same virtual time, the rank has nothing else to compute.
        So the second test waits for the message and returns True.
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
        raise CommError(f"{this_call(self, label, 'shared')}: shared memory has no messages that a "
                        "clock could time; use messages")

    def wrap(self, part: Communicator) -> Communicator:
        return Clock(part, self._time.network, shared=self._time)

    def _cost(self, peer: int, nbytes: int) -> Fraction:
        if peer == self.rank:
            return Fraction(0)
        return self._time.network.seconds(nbytes, between=self.nodes[peer] != self.nodes[self.rank])

    def _arrival(self, request: Request, passage: Passage) -> Fraction:
        """Returns the time at which this rank's port has carried the message. For a receive, the first call
        books an interval of the incoming port. It begins when the sender's interval begins (at stamp - cost)
        or later.
        """
        if passage.end is None:
            cost = self._cost(request.peer, request.array.nbytes)
            passage.end = self._time.incoming.carry(unpack_time(passage.stamp.array) - cost, cost)
        return passage.end

    def _pass(self, request: Request, passage: Passage) -> None:
        """Complete a message: advance this rank's clock and the line of the collective to the message's end.
        """
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
        """A context for a call of a clock method. It adds the CPU time since the last call to the clock. The
        CPU time inside this call does not count.

        The CPU time between two calls may belong to a collective, which adds arrays. This is so if the first
        call completed a message of the collective and the second call is from the same collective. Then the
        time is added to the line of the collective, not to the rank's clock.
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
