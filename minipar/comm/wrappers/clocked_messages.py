"""Sends and receives messages with an envelope (MessageEnvelope) under a virtual clock. `Clock` inherits from
the class in this file.

Each message carries a stamp: the time at which the sender's port has carried the message (see clock.py). A
receiver may not know the sender, so the stamp cannot be a second message. It is in front of the bytes of the
message. The handle of the program's request is a request of the inner communicator. A probe finds a message
as soon as the message has arrived in real time. A probe takes no virtual time.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import label_or_call_site
from minipar.comm.diagnostics.requests import unfit_message
from minipar.comm.message_types import bytes_of
from minipar.comm.protocol import Communicator, Request
from minipar.comm.wrappers.labelled import Labelled
from minipar.comm.wrappers.network import pack_time, unpack_time
from minipar.comm.wrappers.timeline import Event
from minipar.errors import CommError

STAMP = 64  # number of bytes in front of the data of the message


class ClockedMessages(Labelled):
    """The part of `Clock` for messages with an envelope. _time: the `RankTime` of this rank."""

    _time: Any
    _me: int

    def __init__(self, inner: Communicator) -> None:
        super().__init__(inner)
        # the incomplete requests; for a send, with the time when the outgoing port has carried the message
        self._letters: dict[Request, Fraction] = {}

    @abstractmethod
    def _cost(self, peer: int, nbytes: int) -> Fraction:
        """Returns the cost in seconds of a message to or from `peer`."""

    @abstractmethod
    def _inside(self, tag: int | None = None, label: str = "") -> AbstractContextManager[None]:
        """Returns a context in which no virtual time passes."""

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        with self._inside():
            cost = self._cost(dest, data.nbytes)
            end = self._time.outgoing.carry(self._time.now, cost)
            stamped = np.concatenate([pack_time(end).view(np.uint8), bytes_of(data)])
            inner = super().isend_message(stamped, dest, type_code=type_code, tag=tag, label=label,
                                          synchronous=synchronous)
            flow = self._time.flows.name(self, "send", dest, -1 - tag)
            self._time.timeline.append(Event(self._me, "send", end - cost, cost, label, "send",
                                             self.members[dest], data.nbytes, flow, "link"))
            return self._letter("send", dest, tag, data, inner, end)

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        with self._inside():
            inner = super().irecv_message(None, source, type_code=type_code, tag=tag, label=label)
            return self._letter("recv", source, tag, out, inner)

    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        with self._inside():
            inner = super().probe_message(source, tag=tag, label=label)
            return self._letter("probe", source, tag, None, inner)

    def cancel_message(self, request: Request) -> bool:
        return super().cancel_message(request.handle)

    def forget_message(self, request: Request) -> None:
        super().forget_message(request.handle)

    def wait_message(self, request: Request) -> np.ndarray:
        """Wait for a request of a message with an envelope."""
        with self._inside():
            if request in self._letters:
                super().wait(request.handle)
                self._open(request)
        return request.array

    def test_message(self, request: Request) -> bool:
        """Test a request of a message with an envelope. If the message has arrived in real time, the clock
        advances to its arrival, as in `wait_message`.
        """
        with self._inside():
            if request in self._letters:
                if not super().test(request.handle):
                    return False
                self._open(request)
            return True

    def _letter(self, kind: str, peer: int, tag: int, array: np.ndarray | None, inner: Request,
                end: Fraction = Fraction(0)) -> Request:
        request = Request(kind, peer, tag, array, inner.label,      # type: ignore[arg-type]
                          handle=inner, type_code=inner.type_code)
        self._letters[request] = end
        return request

    def _open(self, request: Request) -> None:
        """Complete a request: advance the clock to the end of a send on the outgoing port, or to the arrival
        of a received message.
        """
        end, inner = self._letters.pop(request), request.handle
        request.done = True
        if inner.envelope is not None:
            request.came = inner.envelope._replace(nbytes=inner.envelope.nbytes - STAMP)
        if request.kind == "recv":
            self._receive(request, inner.array)
        elif request.kind == "send":
            self._time.advance(self._me, end, "wait", request.label, op="send",
                               peer=self.members[request.peer], bytes=request.array.nbytes, flow="")

    def _receive(self, request: Request, whole: np.ndarray) -> None:
        """Copy the bytes, and advance the clock to the time when the incoming port has carried the message.
        """
        envelope, data = request.envelope, whole[STAMP:]
        assert envelope is not None
        if wrong := unfit_message(self, request, envelope):
            raise CommError(wrong)
        if request.array is None:
            request.array = data
        else:
            bytes_of(request.array)[:data.size] = data
        cost = self._cost(envelope.source, data.size)
        end = self._time.incoming.carry(unpack_time(whole[:STAMP].view(np.uint64)) - cost, cost)
        flow = self._time.flows.name(self, "recv", envelope.source, -1 - envelope.tag)
        self._time.advance(self._me, end, "recv", request.label, op="recv",
                           peer=self.members[envelope.source], bytes=data.nbytes, flow=flow)
