"""What a rank leaves behind of its messages with an envelope: the part of `Ledger` that is about them.

A receive names its sender only once it is done (it may have asked for any), so it is counted then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from minipar.comm.diagnostics.call_site import CallSite, caller
from minipar.comm.diagnostics.in_flight import snapshot
from minipar.comm.message_types import OBJECT
from minipar.comm.protocol import ANY, Communicator, Request

LETTERS_OF = "letters of "            # in front of the group: a channel of its own beside the ledger's
Channel4 = tuple[str, int, int, int]                                # group, from, to (world ranks), tag


class MessageBook:
    """Of world rank `rank`, over all groups it belongs to."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.sent: dict[Channel4, tuple[int, str]] = {}             # how many, and the line of the last
        self.received: Counter[Channel4] = Counter()
        self.open: dict[Request, tuple[str, str]] = {}              # not yet waited for -> the call, its line
        self.sent_as: dict[Request, bytes] = {}                     # what is being sent, as it was

    def send(self, comm: Communicator, request: Request) -> None:
        channel = f"{LETTERS_OF}{comm.name}", self.rank, comm.members[request.peer], request.tag
        count, _ = self.sent.get(channel, (0, ""))
        self.sent[channel] = count + 1, line_of(request)

    def start(self, request: Request, *, watch: bool) -> None:
        """watch: whether the array must stay as it is until the request is done."""
        letter = "i" if request.type_code == OBJECT else "I"
        self.open[request] = f"{letter}{request.kind}", line_of(request)
        if watch:
            self.sent_as[request] = snapshot(request.array)

    def in_flight(self) -> Iterator[tuple[Request, str]]:
        """The requests not yet waited for whose arrays are known, and the lines that started them."""
        return ((request, location) for request, (_, location) in self.open.items() if request.array is not None)

    def done(self, comm: Communicator, request: Request) -> tuple[str, bytes] | None:
        """A request has been waited for. Returns the line of a send and what it began with."""
        _, location = self.open.pop(request, ("", ""))
        if request.kind == "recv" and request.envelope is not None:
            source = comm.members[request.envelope.source]
            self.received[f"{LETTERS_OF}{comm.name}", source, self.rank, request.envelope.tag] += 1
        before = self.sent_as.pop(request, None)
        return None if before is None else (location, before)

    def forget(self, request: Request) -> None:
        """The program takes it back, or will not wait for it."""
        self.open.pop(request, None)
        self.sent_as.pop(request, None)

    def page(self) -> dict[str, list[list[object]]]:
        """As a ledger's page."""
        waiting = [f"{call}{with_rank(request)} started at {location}"
                   for request, (call, location) in self.open.items() if request.kind != "probe"]
        return {
            "sent": [[*channel, count, "", location] for channel, (count, location) in self.sent.items()],
            "received": [[*channel, count] for channel, count in self.received.items()],
            "open": [[self.rank, what] for what in dict.fromkeys(waiting)],
        }


def line_of(request: Request) -> str:
    """The line that made it: its label, where it was given none (quicker than a walk up the stack)."""
    return request.label if isinstance(request.label, CallSite) else caller()[1]


def with_rank(request: Request) -> str:
    return " from any rank" if request.peer == ANY else f" with rank {request.peer}"
