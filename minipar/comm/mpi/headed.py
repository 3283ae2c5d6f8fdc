"""Sends headers under MPI. A short message has its header in front of its data. A long message has its header
as a separate message before it.

    short    [ header | numbers ]                     copied on both sides
    long     [ header ], then [ numbers ]             the data are sent without a copy

A receiver always posts a buffer for a header and a short message. So it can read the header of any message.
It uses the data only if the header fits. For each tag of the program, all headers have the same MPI tag (tag
* WIRE + HEADED), so they arrive in the order of sending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI

from minipar.comm.diagnostics.call_site import CallSite, caller
from minipar.comm.diagnostics.header import HEAD, MessageHeader, fits, head, key, unfit, unpack
from minipar.comm.protocol import CODES, Request

if TYPE_CHECKING:
    from minipar.comm.mpi.engine import MpiComm

SHORT = 1024                        # up to this number of bytes, a copy takes less time than a second message
WIRE, HEADED = 16, 15              # MPI tag = tag * WIRE + dtype's code; HEADED is the code of a header


def send(comm: MpiComm, array: np.ndarray, dest: int, label: str, tag: int, code: int) -> Request:
    """Start to send the header and the data."""
    site = caller(2)                                                # skip this function and isend
    header = head(array.size, "" if type(label) is CallSite else label, code, site[1])
    handle: MPI.Request | HeadedSend
    if array.nbytes <= SHORT:
        handle = comm.start_send(header + array.tobytes(), dest, tag * WIRE + HEADED)
    else:
        handle = HeadedSend(comm.start_send(header, dest, tag * WIRE + HEADED),
                      comm.start_send((array, MPI.BYTE), dest, tag * WIRE + code))
    return Request("send", dest, tag, array, label, handle, site=site)


def receive(comm: MpiComm, out: np.ndarray, source: int, label: str, tag: int, code: int) -> Request:
    raw = bytearray(HEAD + SHORT)
    header = comm.intracomm.Irecv(raw, source, tag * WIRE + HEADED)
    numbers = None
    if out.nbytes > SHORT:
        numbers = comm.intracomm.Irecv((out, MPI.BYTE), source, tag * WIRE + code)
    request = Request("recv", source, tag, out, label)
    request.handle = HeadedReceive(comm, request, raw, code, header, numbers)
    return request


class HeadedSend:
    """The handle of a send that consists of two messages."""

    def __init__(self, header: MPI.Request, numbers: MPI.Request) -> None:
        self.header, self.numbers = header, numbers

    def Test(self, status: MPI.Status | None = None) -> bool:
        return self.header.Test() and self.numbers.Test()


class HeadedReceive:
    """The handle of a receive. `Test` raises CommError if the header does not fit the receive."""

    def __init__(self, comm: MpiComm, request: Request, raw: bytearray, code: int, header: MPI.Request,
                 numbers: MPI.Request | None) -> None:
        self.comm, self.raw, self.code, self.header, self.numbers = comm, raw, code, header, numbers
        label = request.label
        self.expected = key(request.array.size, "" if type(label) is CallSite else label, code)
        self.request: Request | None = request  # None after `open`: breaks a reference cycle

    def Test(self, status: MPI.Status | None = None) -> bool:
        if self.request is not None:
            if not self.header.Test():
                return False
            self.open(self.request)
        return self.numbers is None or self.numbers.Test()

    def open(self, request: Request) -> None:
        raw, out, self.request = self.raw, request.array, None
        if not raw.startswith(self.expected) and not fits(request, sent := unpack(raw), labels=True):
            self.take_away(request, CODES[sent.dtype], sent.elements * sent.dtype.itemsize)
            raise unfit(self.comm, request, sent)
        if self.numbers is None and out.size:
            out.data.cast("B")[:] = raw[HEAD:HEAD + out.nbytes]

    def take_away(self, request: Request, code: int, nbytes: int) -> None:
        """Receive the data of a message that does not fit, so that its sender can continue."""
        if nbytes > SHORT and (self.numbers is None or code != self.code):
            self.comm.abandoned.append(self.comm.intracomm.Irecv(bytearray(nbytes), request.peer,
                                                                 request.tag * WIRE + code))
        elif self.numbers is not None and nbytes > SHORT:
            # MPI receives the data into the program's array, perhaps truncated
            self.comm.abandoned.append(self.numbers)
            return
        if self.numbers is not None:
            self.numbers.Cancel()
            self.comm.abandoned.append(self.numbers)


def unheaded(status: MPI.Status, dtype: np.dtype) -> MessageHeader:
    """Returns a header for a message that came without one."""
    return MessageHeader(status.count // dtype.itemsize, dtype, "", "")
