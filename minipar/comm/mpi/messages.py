"""Sends and receives messages with an envelope over MPI. The envelope is the sender, the tag, the element
type and the length. The MPI tag contains the tag and the element type (tag * WIRE + type code).

These messages have their own communicator, `letters`. So a receive with tag ANY cannot take a message of a
collective. A receive with a buffer is an MPI receive. A receive without a buffer accepts any length, and
first probes (MPI_Improbe). All receives without a buffer are in one list, in the order of their calls. Each
wait or test probes for them in this order. So messages do not overtake each other, which is a rule of MPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py import MPI

from minipar.comm.backoff import Patience
from minipar.comm.diagnostics.call_site import label_or_call_site
from minipar.comm.diagnostics.requests import unfit_message
from minipar.comm.message_types import BYTES, TYPES
from minipar.comm.protocol import ANY, Communicator, MessageEnvelope, Request
from minipar.errors import CommError

if TYPE_CHECKING:
    from minipar.comm.mpi.engine import MpiComm

WIRE = 32                                                           # MPI tag = tag * WIRE + type code
assert len(TYPES) <= WIRE


def wire_tag(tag: int, type_code: int) -> int:
    return MPI.ANY_TAG if tag == ANY else tag * WIRE + type_code


def wire_source(source: int) -> int:
    return MPI.ANY_SOURCE if source == ANY else source


def envelope_of(status: MPI.Status) -> MessageEnvelope:
    tag = status.tag
    return MessageEnvelope(status.source, tag // WIRE, tag % WIRE, status.count)


def start_letter(comm: MpiComm, data: np.ndarray, dest: int, type_code: int, tag: int,
                 synchronous: bool) -> MPI.Request:
    """Start to send, and return MPI's request."""
    if comm.polling.tests:
        comm.lookout.sent(comm.members[dest])
    start = comm.letters.Issend if synchronous else comm.start_letter
    return start((data, MPI.BYTE), dest, tag * WIRE + type_code)


def receive_letter(comm: MpiComm, out: np.ndarray, source: int, type_code: int, tag: int,
                   label: str | None) -> MessageEnvelope:
    """Receive a message and return its envelope. Only a long wait or an error creates a Request."""
    status = comm.status
    handle = comm.letters.Irecv((out, MPI.BYTE), wire_source(source), wire_tag(tag, type_code))

    def request() -> Request:
        return Request("recv", source, tag, out, label_or_call_site(label), handle, type_code=type_code)

    try:
        came = not comm.arriving and comm.patience.spin(handle.Test, status)
    except MPI.Exception as error:
        raise refused(comm, request(), error, status) from error
    if not came:
        waiting = request()
        comm.wait(waiting)
        assert waiting.envelope is not None
        return waiting.envelope
    if comm.lookout.polling.tests:
        comm.lookout.resume()
    envelope = envelope_of(status)
    if envelope.type_code != type_code and (wrong := unfit_message(comm, request(), envelope)):
        raise CommError(wrong)
    return envelope


def look_at_letters(comm: MpiComm, request: Request) -> tuple[CommError | None, str]:
    """Look for a message that arrived instead of the expected one. Returns an error about a message of
    another type (None if there is none), and a text about a message with another tag ("" if there is none).
    """
    status = comm.status
    if request.kind == "send" or not comm.letters.Iprobe(wire_source(request.peer), MPI.ANY_TAG, status):
        return None, ""
    came = envelope_of(status)
    if request.tag in (ANY, came.tag):
        wrong = unfit_message(comm, request, came)
        return CommError(wrong) if wrong else None, ""
    return None, f"a message came with tag {came.tag}"


class Arriving:
    """The handle of a receive of any length. It probes for a message, then receives the message."""

    def __init__(self, letters: MPI.Intracomm, request: Request) -> None:
        self.letters, self.request = letters, request
        self.receiving: Any = None  # MPI's request, after the probe has found a message
        self.status = MPI.Status()

    def look(self) -> bool:
        """Start to receive the message if it has arrived. Returns whether it has arrived."""
        request = self.request
        for code in (request.type_code or 0, BYTES):                # a pickled object may come as plain bytes
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
    """The handle of a probe. A probe for one tag of the program looks for several MPI tags, one for each
    element type.
    """

    def __init__(self, letters: MPI.Intracomm, request: Request) -> None:
        self.letters, self.request = letters, request

    def Test(self, status: MPI.Status) -> bool:
        source, tag = wire_source(self.request.peer), self.request.tag
        tags = [MPI.ANY_TAG] if tag == ANY else range(tag * WIRE, tag * WIRE + len(TYPES))
        return any(self.letters.Iprobe(source, each, status) for each in tags)


def message_done(comm: Communicator, request: Request, status: MPI.Status,
                 patience: Patience | None = None) -> bool:
    """Test the request of a message with an envelope. With `patience`, test a receive many times. Raises
    CommError for a message that does not fit.
    """
    if request.kind == "send":
        request.done = request.handle.Test()
        return request.done
    try:
        test = request.handle.Test
        if not test(status) and (patience is None or not patience.spin(test, status)):
            return False
    except MPI.Exception as error:
        raise refused(comm, request, error, status) from error
    # `envelope_of`, but this runs once per message: no call, no named tuple, and no question to MPI that the
    # request answers
    source = status.source if request.peer < 0 else request.peer
    code = (tag := status.tag) % WIRE
    request.came = source, tag // WIRE, code, status.count
    # for a message that is too long, MPI has raised an error above
    if (code != request.type_code and request.kind == "recv"
            and (wrong := unfit_message(comm, request, MessageEnvelope(*request.came)))):
        raise CommError(wrong)
    request.done = True
    return True


def refused(comm: Communicator, request: Request, error: MPI.Exception, status: MPI.Status) -> CommError:
    """Returns the error for an MPI exception. If the message was longer than its receive buffer, MPI has
    truncated it. Then its length is unknown.
    """
    if error.Get_error_class() != MPI.ERR_TRUNCATE:
        return CommError(error.Get_error_string())
    assert request.type_code is not None
    code = request.type_code if status.tag < 0 else status.tag % WIRE
    more = request.array.nbytes + TYPES[code].itemsize
    envelope = MessageEnvelope(status.source, status.tag // WIRE, code, more)
    return CommError(f"{unfit_message(comm, request, envelope)} or more")
