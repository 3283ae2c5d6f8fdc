"""Messages with an envelope between ranks that are threads: matched by sender and tag, each of which may be
ANY.

Every rank of a group has a mailbox. It holds messages without a receive, and receives and probes without a
message, each in the order of arrival. This keeps MPI's rule that messages do not overtake.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minipar.comm.diagnostics.requests import unfit_message
from minipar.comm.protocol import ANY, Communicator, MessageEnvelope, Request


@dataclass(eq=False, slots=True)
class Letter:
    """A message that has been sent: its envelope, its bytes, and the request of its sender."""

    envelope: MessageEnvelope
    data: np.ndarray
    original: Request


@dataclass
class Mailbox:
    """The messages sent to one rank of a group, and its open receives and probes."""

    letters: list[Letter] = field(default_factory=list)
    wanted: list[tuple[Communicator, Request]] = field(default_factory=list)


def asks_for(request: Request, envelope: MessageEnvelope) -> bool:
    """Whether a receive or a probe matches this envelope."""
    return request.peer in (ANY, envelope.source) and request.tag in (ANY, envelope.tag)


def find_letter(mailbox: Mailbox, request: Request) -> Letter | None:
    """The first message that matches the request."""
    return next((letter for letter in mailbox.letters if asks_for(request, letter.envelope)), None)


def open_letter(comm: Communicator, request: Request, letter: Letter) -> None:
    """Give the message to the receive: its bytes, or the error if it does not fit."""
    request.envelope = letter.envelope
    if unfit_message(comm, request, letter.envelope):
        request.handle.unfit = True     # the receiver raises the error: this may be the thread of the sender
    elif request.array is None:
        request.array = letter.data
    else:
        request.array[:letter.data.size] = letter.data
