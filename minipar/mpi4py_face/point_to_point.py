"""Messages that carry buffers: Send, Recv and others."""

from __future__ import annotations

from threading import get_ident
from typing import Any

import numpy as np

from minipar.comm.diagnostics.call_site import program_line
from minipar.comm.protocol import ANY
from minipar.mpi4py_face.buffers import Buffer, simple, whole
from minipar.mpi4py_face.constants import ANY_SOURCE, ANY_TAG, BSEND_OVERHEAD, LARGEST_TAG, PROC_NULL
from minipar.mpi4py_face.context import CommHandle, Context, check_peer, check_tag
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.message_request import request_of
from minipar.mpi4py_face.requests import PendingRequest, Prequest, fill
from minipar.mpi4py_face.status import Status
from minipar.mpi4py_face.work import ExchangeWork, MessageWork, Work

DONE = Work()                                                       # the operation of a complete send


class PointToPoint(CommHandle):
    """The upper-case calls for messages."""

    def _usual(self, buf: Any, peer: Any, tag: Any, writable: bool) -> tuple[np.ndarray, int] | None:
        """Returns (array, type code) for a contiguous NumPy array, if also the rank, the tag and the
        communicator are the usual ones. Returns None for all other arguments. Then the slower calls check
        them.

        This one function does the work of `_enter`, `check_peer` and `check_tag`, because it runs once per
        message. Python takes less time for `a < 0 or a >= b` than for `0 <= a < b`.
        """
        context = self._context
        if (context is None or context.rank.thread != get_ident() or context.rank.finalized
                or type(peer) is not int or type(tag) is not int or peer < 0 or peer >= context.comm.size
                or tag > LARGEST_TAG or tag < 0 and not (writable and tag == ANY_TAG)):
            return None
        return whole(buf, writable)

    def Send(self, buf: Any, dest: int, tag: int = 0) -> None:
        self._send(buf, dest, tag, blocking=True)

    def Ssend(self, buf: Any, dest: int, tag: int = 0) -> None:
        """Send a message, and wait until its receive has begun."""
        self._send(buf, dest, tag, blocking=True, synchronous=True)

    def Isend(self, buf: Any, dest: int, tag: int = 0) -> PendingRequest:
        usual = self._usual(buf, dest, tag, False)
        if usual is None:
            return PendingRequest.of(self._send(buf, dest, tag))
        array, code = usual
        comm = self._context.comm                                   # type: ignore[union-attr]
        message = comm.isend_message(array, dest, type_code=code, tag=tag, label=program_line(1))
        return request_of(comm, message)

    def Issend(self, buf: Any, dest: int, tag: int = 0) -> PendingRequest:
        return PendingRequest.of(self._send(buf, dest, tag, synchronous=True))

    def Bsend(self, buf: Any, dest: int, tag: int = 0) -> None:
        """Send a message and return at once. The message stays in the buffer of MPI.Attach_buffer until it is
        received.
        """
        self.Ibsend(buf, dest, tag)

    def Ibsend(self, buf: Any, dest: int, tag: int = 0) -> PendingRequest:
        context = self._enter()
        if dest == PROC_NULL:
            return PendingRequest.of(Work())
        buffer = simple(buf, writable=False)
        return self._send_buffered(context, buffer.pack(), buffer.datatype.type_code, dest, tag)

    Rsend, Irsend = Send, Isend

    def _send(self, buf: Any, dest: int, tag: int, *, blocking: bool = False,
              synchronous: bool = False) -> Work:
        context = self._enter()
        dest = check_peer(context, dest, wildcard=False)
        tag = check_tag(tag, wildcard=False)
        if dest == PROC_NULL:
            return Work()
        data, code = whole(buf, writable=False) or packed(buf)
        if blocking:
            context.comm.send_message(data, dest, type_code=code, tag=tag, synchronous=synchronous)
            return DONE
        message = context.comm.isend_message(data, dest, type_code=code, tag=tag, synchronous=synchronous)
        return MessageWork(context.comm, message)

    def _send_buffered(self, context: Context, data: np.ndarray, code: int, dest: int,
                       tag: int) -> PendingRequest:
        dest = check_peer(context, dest, wildcard=False)
        tag = check_tag(tag, wildcard=False)
        if dest == PROC_NULL:
            return PendingRequest.of(Work())
        rank = context.rank
        if data.nbytes + BSEND_OVERHEAD > rank.attached:
            raise wrong("ERR_BUFFER", f"{data.nbytes} bytes need an attached buffer of "
                                      f"{data.nbytes + BSEND_OVERHEAD}, "
                        f"there are {rank.attached}; call MPI.Attach_buffer first")
        message = context.comm.isend_message(data.copy(), dest, type_code=code, tag=tag)
        context.comm.forget_message(message)
        rank.buffered.append((context.comm, message))
        return PendingRequest.of(Work())

    def Recv(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG,
             status: Status | None = None) -> None:
        context = self._enter()
        source, tag = check_peer(context, source, wildcard=True), check_tag(tag, wildcard=True)
        found = None if source == PROC_NULL else whole(buf, writable=True)
        if found is None:
            work = self._receive(buf, source, tag)
            work.wait()
            fill(status, work)
            return
        array, code = found
        envelope = context.comm.recv_message(array, wildcard(source), type_code=code, tag=tag)
        if status is not None:
            status.fill(envelope)

    def Irecv(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> PendingRequest:
        usual = self._usual(buf, source, tag, True)
        if usual is None:
            return PendingRequest.of(self._receive(buf, source, tag))
        array, code = usual
        comm = self._context.comm                                   # type: ignore[union-attr]
        message = comm.irecv_message(array, source, type_code=code, tag=tag, label=program_line(1))
        return request_of(comm, message)

    def _receive(self, buf: Any, source: int, tag: int) -> Work:
        context = self._enter()
        source = check_peer(context, source, wildcard=True)
        tag = check_tag(tag, wildcard=True)
        if source == PROC_NULL:
            return Work(from_nobody=True)
        found = whole(buf, writable=True)
        if found is None:
            return receive(context, simple(buf, writable=True), source, tag)
        array, code = found
        message = context.comm.irecv_message(array, wildcard(source), type_code=code, tag=tag)
        return MessageWork(context.comm, message)

    def Sendrecv(self, sendbuf: Any, dest: int, sendtag: int = 0, recvbuf: Any = None,
                 source: int = ANY_SOURCE,
                 recvtag: int = ANY_TAG, status: Status | None = None) -> None:
        work = ExchangeWork(self._receive(recvbuf, source, recvtag), self._send(sendbuf, dest, sendtag))
        work.wait()
        fill(status, work)

    def Isendrecv(self, sendbuf: Any, dest: int, sendtag: int = 0, recvbuf: Any = None,
                  source: int = ANY_SOURCE,
                  recvtag: int = ANY_TAG) -> PendingRequest:
        return PendingRequest.of(ExchangeWork(self._receive(recvbuf, source, recvtag),
                                              self._send(sendbuf, dest, sendtag)))

    def Sendrecv_replace(self, buf: Any, dest: int, sendtag: int = 0, source: int = ANY_SOURCE,
                         recvtag: int = ANY_TAG, status: Status | None = None) -> None:
        """Send a copy of the buffer, and receive into the buffer."""
        work = self._replace(buf, dest, sendtag, source, recvtag)
        work.wait()
        fill(status, work)

    def Isendrecv_replace(self, buf: Any, dest: int, sendtag: int = 0, source: int = ANY_SOURCE,
                          recvtag: int = ANY_TAG) -> PendingRequest:
        return PendingRequest.of(self._replace(buf, dest, sendtag, source, recvtag))

    def _replace(self, buf: Any, dest: int, sendtag: int, source: int, recvtag: int) -> Work:
        context = self._enter()
        if dest == source == PROC_NULL:
            return Work(from_nobody=True)
        buffer = simple(buf, writable=True)
        sending = self._send([buffer.pack().copy(), buffer.datatype.element], dest, sendtag)
        source = check_peer(context, source, wildcard=True)
        recvtag = check_tag(recvtag, wildcard=True)
        receiving = (Work(from_nobody=True) if source == PROC_NULL
                     else receive(context, buffer, source, recvtag))
        return ExchangeWork(receiving, sending)

    def Probe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool:
        """Wait until a message can be received, then return True. The status describes the message."""
        context = self._enter()
        if not self._probes_somebody(context, source, tag, status):
            return True
        message = context.comm.probe_message(wildcard(source), tag=tag)
        context.comm.wait(message)
        if status is not None:
            status.fill(message.envelope)
        return True

    def Iprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool:
        context = self._enter()
        if not self._probes_somebody(context, source, tag, status):
            return True
        message = (context.probes.pop((source, tag), None)
                   or context.comm.probe_message(wildcard(source), tag=tag))
        if not context.comm.test(message):
            # the next call tests it again, so a loop of probes counts as waiting
            context.probes[source, tag] = message
            return False
        if status is not None:
            status.fill(message.envelope)
        return True

    def _probes_somebody(self, context: Context, source: int, tag: int, status: Status | None) -> bool:
        source = check_peer(context, source, wildcard=True)
        tag = check_tag(tag, wildcard=True)
        if source == PROC_NULL and status is not None:
            status.from_nobody()
        return source != PROC_NULL

    def Send_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        return Prequest.made(lambda: self._send(buf, dest, tag))

    def Ssend_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        return Prequest.made(lambda: self._send(buf, dest, tag, synchronous=True))

    def Bsend_init(self, buf: Any, dest: int, tag: int = 0) -> Prequest:
        def begin() -> Work:
            self.Ibsend(buf, dest, tag)
            return Work()

        return Prequest.made(begin)

    Rsend_init = Send_init

    def Recv_init(self, buf: Any, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Prequest:
        return Prequest.made(lambda: self._receive(buf, source, tag))


def packed(buf: Any) -> tuple[np.ndarray, int]:
    """Returns (bytes, type code) of any buffer argument."""
    buffer = simple(buf, writable=False)
    return buffer.pack(), buffer.datatype.type_code


def wildcard(source: int) -> int:
    """Convert a rank or MPI.ANY_SOURCE to the number that the protocol uses."""
    return ANY if source == ANY_SOURCE else source


def receive(context: Context, buffer: Buffer, source: int, tag: int) -> MessageWork:
    """Start to receive into a buffer. If the buffer is contiguous, no copy is needed."""
    raw = buffer.raw()
    out = np.empty(buffer.nbytes, np.uint8) if raw is None else raw
    message = context.comm.irecv_message(out, wildcard(source), type_code=buffer.datatype.type_code, tag=tag)
    return MessageWork(context.comm, message, buffer if raw is None else None)
