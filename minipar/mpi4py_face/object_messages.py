"""Messages that carry pickled Python objects: send, recv and others."""

from __future__ import annotations

import warnings
from typing import Any

from minipar.comm.message_types import OBJECT
from minipar.mpi4py_face.constants import ANY_SOURCE, ANY_TAG, PROC_NULL
from minipar.mpi4py_face.context import check_peer, check_tag
from minipar.mpi4py_face.pickling import to_bytes, to_object
from minipar.mpi4py_face.point_to_point import PointToPoint, wildcard
from minipar.mpi4py_face.requests import PendingRequest, fill
from minipar.mpi4py_face.status import Status
from minipar.mpi4py_face.work import MessageWork, Work


class ObjectMessages(PointToPoint):
    """The lower-case calls for messages."""

    def send(self, obj: Any, dest: int, tag: int = 0) -> None:
        self._send_object(obj, dest, tag, blocking=True)

    def ssend(self, obj: Any, dest: int, tag: int = 0) -> None:
        self._send_object(obj, dest, tag, blocking=True, synchronous=True)

    def isend(self, obj: Any, dest: int, tag: int = 0) -> PendingRequest:
        return PendingRequest.of(self._send_object(obj, dest, tag))

    def issend(self, obj: Any, dest: int, tag: int = 0) -> PendingRequest:
        return PendingRequest.of(self._send_object(obj, dest, tag, synchronous=True))

    def bsend(self, obj: Any, dest: int, tag: int = 0) -> None:
        self.ibsend(obj, dest, tag)

    def ibsend(self, obj: Any, dest: int, tag: int = 0) -> PendingRequest:
        return self._send_buffered(self._enter(), to_bytes(obj), OBJECT, dest, tag)

    def _send_object(self, obj: Any, dest: int, tag: int, *, blocking: bool = False,
                     synchronous: bool = False) -> Work:
        context = self._enter()
        dest = check_peer(context, dest, wildcard=False)
        tag = check_tag(tag, wildcard=False)
        if dest == PROC_NULL:
            return Work()
        data = to_bytes(obj)
        if blocking:
            context.comm.send_message(data, dest, type_code=OBJECT, tag=tag, synchronous=synchronous)
            return Work()
        message = context.comm.isend_message(data, dest, type_code=OBJECT, tag=tag, synchronous=synchronous)
        return MessageWork(context.comm, message)

    def recv(self, buf: Any = None, source: int = ANY_SOURCE, tag: int = ANY_TAG,
             status: Status | None = None) -> Any:
        """Receive an object. buf: not used. As in mpi4py, this argument is deprecated."""
        if buf is not None:
            warnings.warn("the 'buf' argument is deprecated", UserWarning, stacklevel=2)
        work = self._receive_object(source, tag)
        work.wait()
        fill(status, work)
        return work.result

    def irecv(self, buf: Any = None, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> PendingRequest:
        return PendingRequest.of(self._receive_object(source, tag))

    def _receive_object(self, source: int, tag: int) -> Work:
        context = self._enter()
        source = check_peer(context, source, wildcard=True)
        tag = check_tag(tag, wildcard=True)
        if source == PROC_NULL:
            return Work(from_nobody=True)
        message = context.comm.irecv_message(None, wildcard(source), type_code=OBJECT, tag=tag)
        return MessageWork(context.comm, message, decode=to_object)

    def sendrecv(self, sendobj: Any, dest: int, sendtag: int = 0, recvbuf: Any = None,
                 source: int = ANY_SOURCE,
                 recvtag: int = ANY_TAG, status: Status | None = None) -> Any:
        receiving = self._receive_object(source, recvtag)
        sending = self._send_object(sendobj, dest, sendtag)
        receiving.wait()
        sending.wait()
        fill(status, receiving)
        return receiving.result

    def probe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool:
        return self.Probe(source, tag, status)

    def iprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool:
        return self.Iprobe(source, tag, status)
