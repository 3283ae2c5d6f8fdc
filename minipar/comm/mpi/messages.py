"""Messages with an envelope over MPI: the type of the elements travels in the MPI tag (tag * WIRE + type
code).

They have their own communicator, `letters`, so that a receive with any tag cannot take a message of a
collective. A receive with a buffer is an MPI receive. A receive of any length first probes (MPI_Improbe): all
such receives of this rank are in one list, in the order of posting, and are probed in this order at each wait
or test. This keeps MPI's rule that messages do not overtake.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from minipar.comm.diagnostics.requests import unfit_message
from minipar.comm.message_types import BYTES, TYPES
from minipar.comm.protocol import ANY, Communicator, MessageEnvelope, Request
from minipar.errors import CommError

WIRE = 32                                                           # MPI tag = tag * WIRE + type code
assert len(TYPES) <= WIRE


def wire_tag(tag: int, type_code: int) -> int:
    return MPI.ANY_TAG if tag == ANY else tag * WIRE + type_code


def wire_source(source: int) -> int:
    return MPI.ANY_SOURCE if source == ANY else source


def envelope_of(status: MPI.Status) -> MessageEnvelope:
    return MessageEnvelope(status.source, status.tag // WIRE, status.tag % WIRE, status.count)


class Arriving:
    """The handle of a receive of any length: it probes for a message, then receives it."""

    def __init__(self, letters: MPI.Intracomm, request: Request) -> None:
        self.letters, self.request = letters, request
        self.receiving: Any = None  # MPI's request, after the probe has found a message
        self.status = MPI.Status()

    def look(self) -> bool:
        """Start to receive the message if it has arrived; returns whether it has."""
        request = self.request
        for code in (request.type_code or 0, BYTES):                # an object may come as plain bytes
            tag = wire_tag(request.tag, code)
            message = self.letters.Improbe(wire_source(request.peer), tag, self.status)
            if message is not None:
                break
        else:
            return False
        request.array = np.empty(self.status.count, np.uint8)
        self.receiving = message.Irecv([request.array, MPI.BYTE])
        return True

    def Test(self, status: MPI.Status) -> bool:
        if self.receiving is None or not self.receiving.Test():
            return False
        status.source, status.tag = self.status.source, self.status.tag
        status.Set_elements(MPI.BYTE, self.status.count)
        return True


class Probing:
    """The handle of a probe. A probe of one tag probes one MPI tag per type."""

    def __init__(self, letters: MPI.Intracomm, request: Request) -> None:
        self.letters, self.request = letters, request

    def Test(self, status: MPI.Status) -> bool:
        source, tag = wire_source(self.request.peer), self.request.tag
        tags = [MPI.ANY_TAG] if tag == ANY else range(tag * WIRE, tag * WIRE + len(TYPES))
        return any(self.letters.Iprobe(source, each, status) for each in tags)


def message_done(comm: Communicator, request: Request, status: MPI.Status) -> bool:
    """Test the request of a message with an envelope. Raises CommError for a message that does not fit."""
    handle = request.handle
    if request.kind == "send":
        request.done = handle.Test()
        return request.done
    try:
        if not handle.Test(status):
            return False
    except MPI.Exception as error:
        if error.Get_error_class() != MPI.ERR_TRUNCATE:
            raise CommError(error.Get_error_string()) from error
        assert request.array is not None and request.type_code is not None
        code = request.type_code if status.tag < 0 else status.tag % WIRE
        more = request.array.nbytes + TYPES[code].itemsize
        envelope = MessageEnvelope(status.source, status.tag // WIRE, code, more)
        raise CommError(f"{unfit_message(comm, request, envelope)} or more") from error
    request.envelope = envelope_of(status)
    if request.kind == "recv" and (wrong := unfit_message(comm, request, request.envelope)):
        raise CommError(wrong)
    request.done = True
    return True
