"""The checks of MPI messages. A program's message has a header (headers.py).

In `Checking`, a send calls the engine, which checks the arguments again and calls MPI. These Python calls
take as long as a message of 8 bytes. So for a program's message, each method of this class does the work of
`Checking` and of the engine. Messages of collectives have no header; the methods of `Checking` handle them.
"""

from __future__ import annotations

from threading import get_ident

import numpy as np
from mpi4py import MPI

from minipar.comm.diagnostics.call_site import CallSite, calling_line, label_or_call_site
from minipar.comm.diagnostics.header import HEAD, SHORT, head
from minipar.comm.diagnostics.in_flight import change, has_changed, is_free, snapshot
from minipar.comm.diagnostics.message_book import line_of
from minipar.comm.mpi.engine import MpiComm
from minipar.comm.mpi.headers import HEADED, WIRE, HeadedReceive, HeadedSend
from minipar.comm.mpi.messages import start_letter, wire_source, wire_tag
from minipar.comm.protocol import OwnTag, Request
from minipar.comm.refusals import check_message
from minipar.comm.wrappers.checking import Checking, no_request


class Headed(Checking):
    """`Checking` for an MPI engine."""

    inner: MpiComm

    def start_send(self, array: np.ndarray, dest: int, label: str | None, tag: int) -> Request:
        if type(tag) is OwnTag:
            return super().start_send(array, dest, label, tag)
        engine = self.inner
        if type(label) is not str:
            label = label_or_call_site(label)
        if get_ident() != engine.thread:
            engine.refuse_others("send", label)
        code = check_message(self, "send", array, dest, label, tag)
        if engine.polling.tests:
            engine.lookout.sent(self.members[dest])
        line = calling_line(2)                                      # skip this function and isend
        self.book.send(dest, tag, label, line)
        header = head(array.size, label if type(label) is str else "", code, line)
        if array.nbytes <= SHORT:
            numbers = array.tobytes()
            return Request("send", dest, tag, array, label,
                           engine.start_send(header + numbers, dest, tag * WIRE + HEADED), False, None, None,
                           ("isend", line), numbers)
        handle = HeadedSend(engine.start_send(header, dest, tag * WIRE + HEADED),
                            engine.start_send((array, MPI.BYTE), dest, tag * WIRE + code))
        return Request("send", dest, tag, array, label, handle, False, None, None, ("isend", line))

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        engine, ledger = self.inner, self.ledger
        if ledger.closed or ledger.busy and not is_free(ledger, data):
            self.refuse_letter(data, "send", label)
        if get_ident() != engine.thread:
            engine.refuse_others("send", label)
        if type(label) is not CallSite:
            label = label_or_call_site(label)
        handle = start_letter(engine, data, dest, type_code, tag, synchronous)
        request = Request("send", dest, tag, data, label, handle, False, type_code, None, None,
                          snapshot(data))
        line = ledger.letters.open[request] = line_of(label)
        self.letters.send(dest, tag, "", line)
        return request

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        engine, ledger = self.inner, self.ledger
        if out is None:
            return super().irecv_message(out, source, type_code=type_code, tag=tag, label=label)
        if ledger.closed or ledger.busy and not is_free(ledger, out):
            self.refuse_letter(out, "recv", label)
        if get_ident() != engine.thread:
            engine.refuse_others("recv", label)
        if type(label) is not CallSite:
            label = label_or_call_site(label)
        handle = engine.letters.Irecv((out, MPI.BYTE), wire_source(source), wire_tag(tag, type_code))
        request = Request("recv", source, tag, out, label, handle, False, type_code)
        ledger.letters.open[request] = line_of(label)
        return request

    def wait(self, request: Request) -> np.ndarray:
        if type(request) is not Request:
            raise no_request(self, "wait", request)
        engine = self.inner
        if request.type_code is None:
            self.ledger.open.pop(request, None)
        if not engine.is_done(request):
            engine.wait(request)
        elif engine.polling.tests and request.kind != "send":
            engine.lookout.resume()
        if request.type_code is not None:
            self.settle(request)
        elif request.content is not None:
            if has_changed(request.array, request.content):
                raise change(self, request)
            request.content = None
        return request.array

    def start_receive(self, out: np.ndarray, source: int, label: str | None, tag: int) -> Request:
        """Start to receive the header and the data. `Request.content` holds the header until it is compared.
        """
        if type(tag) is OwnTag:
            return super().start_receive(out, source, label, tag)
        engine = self.inner
        if type(label) is not str:
            label = label_or_call_site(label)
        if get_ident() != engine.thread:
            engine.refuse_others("recv", label)
        code = check_message(self, "recv", out, source, label, tag)
        self.book.receive(source, tag)
        raw = engine.buffers.pop() if engine.buffers else bytearray(HEAD + SHORT)
        handle: MPI.Request | HeadedReceive = engine.intracomm.Irecv(raw, source, tag * WIRE + HEADED)
        if out.nbytes > SHORT:
            numbers = engine.intracomm.Irecv((out, MPI.BYTE), source, tag * WIRE + code)
            handle = HeadedReceive(handle, numbers)                 # type: ignore[arg-type]
        return Request("recv", source, tag, out, label, handle, False, None, None, None, raw)
