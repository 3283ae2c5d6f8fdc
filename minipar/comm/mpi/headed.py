"""How a header travels under MPI: in front of the numbers of a short message, or as a message before a long
one.

    short    [ header | numbers ]                     copied on both sides
    long     [ header ], then [ numbers ]             the numbers go from array to array, as ever

A receiver posts room for a header and a short message, whatever it expects, so that it can read the header of
any message. The numbers count only once the header was read. All headers have one MPI tag (HEADED behind the
program's tag), so they come in the order in which they were sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI

from minipar.comm.diagnostics.call_site import caller
from minipar.comm.diagnostics.header import HEAD, fits, given, head, key, unfit, unpack
from minipar.comm.protocol import CODES, Request

if TYPE_CHECKING:
    from minipar.comm.mpi.engine import MpiComm

SHORT = 1024                        # bytes: what is cheaper to copy than to send as a message of its own
WIRE, HEADED = 16, 15              # room below the tag for the dtype's code; the code of a header


def send(comm: MpiComm, array: np.ndarray, plain: np.ndarray, dest: int, label: str, tag: int,
         code: int) -> Request:
    """Start both. plain: the array as MPI knows it."""
    site = caller()
    header = head(array.size, given(label), code, site[1])
    handle: MPI.Request | HeadedSend
    if array.nbytes <= SHORT:
        handle = comm.start_send(header + array.tobytes(), dest, tag * WIRE + HEADED)
    else:
        handle = HeadedSend(comm.start_send(header, dest, tag * WIRE + HEADED),
                      comm.start_send(plain, dest, tag * WIRE + code))
    return Request("send", dest, tag, array, label, handle, site=site)


def receive(comm: MpiComm, out: np.ndarray, plain: np.ndarray, source: int, label: str, tag: int,
            code: int) -> Request:
    raw = bytearray(HEAD + SHORT)
    header = comm.intracomm.Irecv(raw, source, tag * WIRE + HEADED)
    numbers = comm.intracomm.Irecv(plain, source, tag * WIRE + code) if out.nbytes > SHORT else None
    request = Request("recv", source, tag, out, label)
    request.handle = HeadedReceive(comm, request, raw, code, header, numbers)
    return request


class HeadedSend:
    """The handle of a send in two messages."""

    def __init__(self, header: MPI.Request, numbers: MPI.Request) -> None:
        self.header, self.numbers = header, numbers

    def Test(self, status: MPI.Status | None = None) -> bool:
        return self.header.Test() and self.numbers.Test()


class HeadedReceive:
    """The handle of a receive. `Test` raises CommError where the header is not that of the message asked for.
    """

    def __init__(self, comm: MpiComm, request: Request, raw: bytearray, code: int, header: MPI.Request,
                 numbers: MPI.Request | None) -> None:
        self.comm, self.raw, self.code, self.header, self.numbers = comm, raw, code, header, numbers
        self.expected = key(request.array.size, given(request.label), code)
        self.request: Request | None = request                      # until it is open: no cycle stays behind

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
        """Receive the numbers of the message that does not fit, so that its sender can go on, and none are
        left.
        """
        if nbytes > SHORT and (self.numbers is None or code != self.code):
            self.comm.abandoned.append(self.comm.intracomm.Irecv(bytearray(nbytes), request.peer,
                                                                 request.tag * WIRE + code))
        elif self.numbers is not None and nbytes > SHORT:
            self.comm.abandoned.append(self.numbers)  # they come there; MPI cuts off what is too long
            return
        if self.numbers is not None:
            self.numbers.Cancel()
            self.comm.abandoned.append(self.numbers)
