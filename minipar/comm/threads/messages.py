"""Sends and receives messages with an envelope between ranks that are threads. The envelope is the sender,
the tag, the element type and the length. A receive names the sender and the tag; either may be ANY.

Every rank of a group has a mailbox. The mailbox holds two lists: messages without a receive, and receives and
probes without a message. Both lists are in the order of arrival. So messages do not overtake each other,
which is a rule of MPI.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minipar.comm.diagnostics.requests import unfit_message
from minipar.comm.message_types import bytes_of
from minipar.comm.protocol import ANY, Communicator, MessageEnvelope, Request


@dataclass(eq=False, slots=True)
class Letter:
    """A message that has been sent. It holds the envelope, the bytes, and the request of the sender."""

    envelope: MessageEnvelope
    data: np.ndarray
    original: Request


@dataclass
class Mailbox:
    """The messages that were sent to one rank of a group, and the open receives and probes of this rank."""

    letters: list[Letter] = field(default_factory=list)
    wanted: list[tuple[Communicator, Request]] = field(default_factory=list)


def asks_for(request: Request, envelope: MessageEnvelope) -> bool:
    """Returns whether a receive or a probe matches this envelope."""
    return request.peer in (ANY, envelope.source) and request.tag in (ANY, envelope.tag)


def find_letter(mailbox: Mailbox, request: Request) -> Letter | None:
    """Returns the first message that matches the request; None if there is none."""
    return next((letter for letter in mailbox.letters if asks_for(request, letter.envelope)), None)


def open_letter(comm: Communicator, request: Request, letter: Letter) -> None:
    """Complete the receive with the bytes of the message, or mark it as failed if the message does not fit.
    """
    request.came = letter.envelope
    if unfit_message(comm, request, letter.envelope):
        # the receiver raises the error, since this may be the thread of the sender
        request.handle.unfit = True
    elif request.array is None:
        request.array = letter.data
    else:
        bytes_of(request.array)[:letter.data.size] = letter.data
