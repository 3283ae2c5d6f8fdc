"""The headers of messages under MPI. A short message has its header in front of its data. A long message has
its header as a separate message before it.

    short    [ header | numbers ]                     copied on both sides
    long     [ header ], then [ numbers ]             the data are sent without a copy

A receiver always posts a buffer that is large enough for a header and a short message. So it can read the
header of any message. It uses the data only if the header fits. All headers with the same tag of the program
have the same MPI tag (tag * WIRE + HEADED), so they arrive in the order of sending.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from mpi4py import MPI

from minipar.comm.diagnostics.header import (
    HEAD,
    SHORT,
    MessageHeader,
    expected,
    fits,
    unfit,
    unpack,
)
from minipar.comm.protocol import CODES, Request

if TYPE_CHECKING:
    from minipar.comm.mpi.engine import MpiComm

WIRE, HEADED = 16, 15              # MPI tag = tag * WIRE + dtype's code; HEADED is the code of a header


class HeadedSend:
    """The handle of a send that consists of two messages."""

    __slots__ = "header", "numbers"

    def __init__(self, header: MPI.Request, numbers: MPI.Request) -> None:
        self.header, self.numbers = header, numbers

    def Test(self, status: MPI.Status | None = None) -> bool:
        return self.header.Test() and self.numbers.Test()


class HeadedReceive:
    """The handle of a long receive until its header has arrived. Then `numbers` becomes the handle."""

    __slots__ = "header", "numbers"

    def __init__(self, header: MPI.Request, numbers: MPI.Request) -> None:
        self.header, self.numbers = header, numbers

    def Test(self, status: MPI.Status | None = None) -> bool:
        return self.header.Test()


def open_header(comm: MpiComm, request: Request) -> bool:
    """Check whether the received header fits the receive. Returns whether the numbers have also arrived.

    Raises CommError if the header does not fit the receive.
    """
    raw, out, label = request.content, request.array, request.label
    assert isinstance(raw, bytearray)
    request.content = None
    own, numbers = expected(out.size, label if type(label) is str else "", CODES[out.dtype])
    if not raw.startswith(own) and not fits(request, sent := unpack(raw), labels=True):
        take_away(comm, request, CODES[sent.dtype], sent.elements * sent.dtype.itemsize)
        raise unfit(comm, request, sent)
    if type(request.handle) is HeadedReceive:
        request.handle = request.handle.numbers
        return bool(request.handle.Test())
    numbers.pack_into(out, 0, raw[HEAD:])                           # type: ignore[arg-type]
    comm.buffers.append(raw)
    return True


def take_away(comm: MpiComm, request: Request, code: int, nbytes: int) -> None:
    """Receive the data of a message that does not fit, so that its sender can continue. code, nbytes: the
    type code and the size of the message.
    """
    numbers = request.handle.numbers if type(request.handle) is HeadedReceive else None
    if nbytes > SHORT and (numbers is None or code != CODES[request.array.dtype]):
        tag = request.tag * WIRE + code
        comm.abandoned.append(comm.intracomm.Irecv(bytearray(nbytes), request.peer, tag))
    elif numbers is not None and nbytes > SHORT:
        # MPI receives the data into the program's array, perhaps truncated
        comm.abandoned.append(numbers)
        return
    if numbers is not None:
        numbers.Cancel()
        comm.abandoned.append(numbers)


def unheaded(status: MPI.Status, dtype: np.dtype) -> MessageHeader:
    """Returns a header for a message that arrived without a header."""
    return MessageHeader(status.count // dtype.itemsize, dtype, "", "")
