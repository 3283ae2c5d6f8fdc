"""Plants faults, such as a lost message or a killed rank, for lessons and for tests of the checks.

    comm = Faults(comm, Fault("drop", rank=1, op="send", nth=2))    # rank 1's third message is lost

The faults are:

    drop        the message is never sent
    truncate    only the first half of the message's elements is sent
    corrupt     one bit of the message is flipped
    reorder     the message is sent after the next one to the same rank with the same tag; if there is no
                next one, it is never sent
    delay       the sender sleeps `seconds` before it sends the message
    slow        a call takes `seconds` longer
    kill        the rank ends at this call: a process by SIGKILL, a thread by CommError, since the system
                cannot kill a thread

The first five apply to messages that are sent with `isend`, but not to messages of `isend_message`. The last
two apply to any call: a send, a receive, or the entry into a collective.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import label_or_call_site, quoted
from minipar.comm.protocol import NOT_GIVEN, Communicator, Request
from minipar.comm.refusals import check_message
from minipar.comm.wrappers.base import Wrapper
from minipar.comm.wrappers.labelled import Labelled
from minipar.errors import CommError, ConfigError

TO_MESSAGES = ("drop", "truncate", "corrupt", "reorder", "delay")
TO_CALLS = ("slow", "kill")


@dataclass(frozen=True)
class Fault:
    """A fault (`action`) and the calls to which it applies. A field that is None matches any call.

    rank, peer: world ranks. op: "send" or "recv" for a program's own messages, else the name of the
    collective ("all_reduce sum"). A collective counts as several calls of this op: its entry is one call, and
    each send and each receive is one call. nth: the index of the matching call, from 0; None for all matching
    calls.
    """

    action: str
    rank: int | None = None
    op: str | None = None
    peer: int | None = None
    label: str | None = None
    nth: int | None = None
    seconds: float = 0.1

    def __post_init__(self) -> None:
        if self.action not in TO_MESSAGES + TO_CALLS:
            raise ConfigError(f"no fault is called {self.action!r}; there are "
                              f"{', '.join(TO_MESSAGES + TO_CALLS)}")


@dataclass
class Plan:
    """The faults of one rank, and the number of calls that each fault has matched. All groups of the rank
    share one Plan.
    """

    faults: tuple[Fault, ...]
    random: np.random.Generator
    sleep: Callable[[float], object]
    # index of a fault -> the number of matching calls so far
    seen: Counter[int] = field(default_factory=Counter)

    def due(self, actions: tuple[str, ...], rank: int, op: str, peer: int | None, label: str) -> list[Fault]:
        found = []
        for number, fault in enumerate(self.faults):
            wanted = zip((fault.rank, fault.op, fault.peer, fault.label), (rank, op, peer, label),
                         strict=True)
            if fault.action in actions and all(want in (None, given) for want, given in wanted):
                if fault.nth in (None, self.seen[number]):
                    found.append(fault)
                self.seen[number] += 1
        return found


class Faults(Labelled):
    """A communicator with planted faults. Groups that are split off from this one share the faults.

    seed: the seed of the random choice of the bits for "corrupt". sleep: the function that delays a rank; to
    delay the rank in virtual time, pass the `sleep` of a Clock.
    """

    def __init__(self, inner: Communicator, *faults: Fault, seed: int = 0,
                 sleep: Callable[[float], object] = time.sleep, plan: Plan | None = None) -> None:
        super().__init__(inner)
        self._me = self.members[self.rank]
        self._plan = plan or Plan(faults, np.random.default_rng([seed, self._me]), sleep)
        self._lost: set[Request] = set()  # requests of messages that were never sent
        # (dest, tag) -> a message that will be sent after the next one, and its label
        self._held: dict[tuple[int, int], tuple[np.ndarray, str]] = {}

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        label = label_or_call_site(label)
        check_message(self, "send", array, dest, label, tag)
        op, peer = self.op_of("send", tag), self.members[dest]
        self._calls(op, peer, label)
        for fault in self._plan.due(TO_MESSAGES, self._me, op, peer, label):
            if fault.action == "delay":
                self._plan.sleep(fault.seconds)
            elif fault.action == "truncate":
                array = array.reshape(-1)[:array.size // 2].copy()
            elif fault.action == "corrupt":
                array = self._flip_a_bit(array)
            else:
                if fault.action == "reorder":
                    self._held[dest, tag] = array.copy(), label
                lost = Request("send", dest, tag, array, label, done=True)
                self._lost.add(lost)
                return lost
        request = super().isend(array, dest, label=label, tag=tag)
        if (dest, tag) in self._held:
            late, its_label = self._held.pop((dest, tag))
            super().wait(super().isend(late, dest, label=its_label, tag=tag))
        return request

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        self._calls("send", self.members[dest], label)
        return super().isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                     synchronous=synchronous)

    def irecv(self, out: np.ndarray, source: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        label = label_or_call_site(label)
        check_message(self, "recv", out, source, label, tag)
        self._calls(self.op_of("recv", tag), self.members[source], label)
        return super().irecv(out, source, label=label, tag=tag)

    def wait(self, request: Request) -> np.ndarray:
        return request.array if request in self._lost else super().wait(request)

    def test(self, request: Request) -> bool:
        return request in self._lost or super().test(request)

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        label = label_or_call_site(label)
        self._calls(op, None, label)
        return super().entering(op, shape, dtype, label=label, **agreed)

    def wrap(self, part: Communicator) -> Communicator:
        return Faults(part, plan=self._plan)

    def _calls(self, op: str, peer: int | None, label: str) -> None:
        for fault in self._plan.due(TO_CALLS, self._me, op, peer, label):
            if fault.action == "slow":
                self._plan.sleep(fault.seconds)
            elif is_process(self):
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise CommError(f"rank {self._me} was killed in {op}{quoted(label)}, as planted",
                                killed=self._me)

    def _flip_a_bit(self, array: np.ndarray) -> np.ndarray:
        raw = bytearray(array.tobytes())
        if raw:
            raw[self._plan.random.integers(len(raw))] ^= 1 << int(self._plan.random.integers(8))
        return np.frombuffer(raw, array.dtype).reshape(array.shape)


def is_process(comm: Communicator) -> bool:
    """Returns whether this rank is a process, as under MPI, and not a thread. Only the MPI engine has
    `native`. A Clock hides it, so the function goes down to the engine.
    """
    while isinstance(comm, Wrapper):
        comm = comm.inner
    return comm.native is not None
