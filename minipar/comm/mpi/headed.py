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
from minipar.comm.diagnostics.in_flight import WHOLE, change, has_changed, is_free, snapshot
from minipar.comm.diagnostics.message_book import line_of
from minipar.comm.mpi.engine import MpiComm
from minipar.comm.mpi.headers import HEADED, WIRE, HeadedReceive, HeadedSend
from minipar.comm.mpi.messages import WIRE as LETTER_WIRE
from minipar.comm.mpi.messages import message_done
from minipar.comm.protocol import OwnTag, Request
from minipar.comm.refusals import check_message
from minipar.comm.wrappers.checking import Checking, no_request

BYTE, ANY_SOURCE, ANY_TAG, NEW = MPI.BYTE, MPI.ANY_SOURCE, MPI.ANY_TAG, object.__new__


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
        in_flight = ledger.letters.open
        if ledger.closed or (in_flight or ledger.open or ledger.running) and not is_free(ledger, data):
            self.refuse_letter(data, "send", label)
        if get_ident() != engine.thread:
            engine.refuse_others("send", label)
        if type(label) is CallSite:
            line: str = label
        else:
            label = label_or_call_site(label)
            line = line_of(label)
        if engine.polling.tests:
            engine.lookout.sent(self.members[dest])
        start = engine.letters.Issend if synchronous else engine.start_letter
        handle = start((data, BYTE), dest, tag * LETTER_WIRE + type_code)
        content = data.tobytes() if data.nbytes <= WHOLE else snapshot(data)
        request = started("send", dest, tag, data, label, handle, type_code, content)
        in_flight[request] = line
        row = self.letters.sent.get((dest, tag))                    # [count, label, line]
        if row is None:
            self.letters.send(dest, tag, "", line)
        else:
            row[0] += 1
            row[2] = line
        return request

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        engine, ledger = self.inner, self.ledger
        if out is None:
            return super().irecv_message(out, source, type_code=type_code, tag=tag, label=label)
        in_flight = ledger.letters.open
        if ledger.closed or (in_flight or ledger.open or ledger.running) and not is_free(ledger, out):
            self.refuse_letter(out, "recv", label)
        if get_ident() != engine.thread:
            engine.refuse_others("recv", label)
        if type(label) is CallSite:
            line: str = label
        else:
            label = label_or_call_site(label)
            line = line_of(label)
        handle = engine.letters.Irecv((out, BYTE), source if source >= 0 else ANY_SOURCE,
                                      tag * LETTER_WIRE + type_code if tag >= 0 else ANY_TAG)
        request = started("recv", source, tag, out, label, handle, type_code, None)
        in_flight[request] = line
        return request

    def wait(self, request: Request) -> np.ndarray:
        if type(request) is not Request:
            raise no_request(self, "wait", request)
        engine, location = self.inner, None
        if request.type_code is None:
            self.ledger.open.pop(request, None)
            if not engine.is_done(request):
                engine.wait(request)
            elif engine.polling.tests and request.kind != "send":
                engine.lookout.resume()
        else:
            if engine.arriving or request.done or get_ident() != engine.thread:
                engine.wait(request)
            elif request.kind == "send":
                request.done = request.handle.Test()                # a send is usually complete at once
                if not request.done:
                    engine.wait(request)
            elif not message_done(engine, request, engine.status, engine.patience):
                engine.wait(request)
            elif engine.polling.tests:
                engine.lookout.resume()
            location, came = self.ledger.letters.open.pop(request, None), request.came
            if location is not None and came is not None:           # a receive that was not counted yet
                self.letters.received[came[0], came[1]][0] += 1     # by source and tag
        content = request.content
        if content is not None:                                     # a send
            array = request.array
            # `has_changed`, without its call for a short array
            if (not content.startswith(array) if array.nbytes <= WHOLE      # type: ignore[arg-type]
                    else has_changed(array, content)):
                raise change(self, request, location)
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


def started(kind: str, peer: int, tag: int, array: np.ndarray, label: str, handle: MPI.Request,
            type_code: int, content: bytes | None) -> Request:
    """Returns a new request of a message with an envelope. A call of `Request` takes longer, and so does an
    assignment of several attributes in one statement, which makes a tuple.
    """
    request = NEW(Request)
    request.kind = kind
    request.peer = peer
    request.tag = tag
    request.array = array
    request.label = label
    request.handle = handle
    request.done = False
    request.type_code = type_code
    request.came = request.site = None
    request.content = content
    return request
