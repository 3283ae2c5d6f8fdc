"""The part of `Ledger` for messages with an envelope: what was sent, received, and never waited for.

A receive from any source knows its sender only when it is complete, so it is counted then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from minipar.comm.diagnostics.call_site import CallSite, caller
from minipar.comm.diagnostics.in_flight import snapshot
from minipar.comm.message_types import OBJECT
from minipar.comm.protocol import ANY, Communicator, Request

LETTERS_OF = "letters of "            # prefix of the group's name: a separate channel in the ledger
Channel4 = tuple[str, int, int, int]                                # group, from, to (world ranks), tag


class MessageBook:
    """The book of world rank `rank`, for all its groups."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.sent: dict[Channel4, tuple[int, str]] = {}             # number, line of the last send
        self.received: Counter[Channel4] = Counter()
        self.open: dict[Request, tuple[str, str]] = {}              # not yet waited for -> call, line
        self.sent_as: dict[Request, bytes] = {}  # arrays being sent -> content at the start

    def send(self, comm: Communicator, request: Request) -> None:
        channel = f"{LETTERS_OF}{comm.name}", self.rank, comm.members[request.peer], request.tag
        count, _ = self.sent.get(channel, (0, ""))
        self.sent[channel] = count + 1, line_of(request)

    def start(self, request: Request, *, watch: bool) -> None:
        """watch: whether to check that the array does not change until the request is complete."""
        letter = "i" if request.type_code == OBJECT else "I"
        self.open[request] = f"{letter}{request.kind}", line_of(request)
        if watch:
            self.sent_as[request] = snapshot(request.array)

    def in_flight(self) -> Iterator[tuple[Request, str]]:
        """The requests not yet waited for whose arrays are known, and the lines that started them."""
        return ((request, location) for request, (_, location) in self.open.items()
                if request.array is not None)

    def done(self, comm: Communicator, request: Request) -> tuple[str, bytes] | None:
        """Record that a request was waited for. For a watched send, returns its line and the content at its
        start.
        """
        _, location = self.open.pop(request, ("", ""))
        if request.kind == "recv" and request.envelope is not None:
            source = comm.members[request.envelope.source]
            self.received[f"{LETTERS_OF}{comm.name}", source, self.rank, request.envelope.tag] += 1
        before = self.sent_as.pop(request, None)
        return None if before is None else (location, before)

    def forget(self, request: Request) -> None:
        """Drop a request that the program has cancelled or will not wait for."""
        self.open.pop(request, None)
        self.sent_as.pop(request, None)

    def page(self) -> dict[str, list[list[object]]]:
        """The book as a ledger's page."""
        waiting = [f"{call}{with_rank(request)} started at {location}"
                   for request, (call, location) in self.open.items() if request.kind != "probe"]
        return {
            "sent": [[*channel, count, "", location] for channel, (count, location) in self.sent.items()],
            "received": [[*channel, count] for channel, count in self.received.items()],
            "open": [[self.rank, what] for what in dict.fromkeys(waiting)],
        }


def line_of(request: Request) -> str:
    """The line that made the request. Without a label, the label is the line (faster than walking the stack).
    """
    return request.label if isinstance(request.label, CallSite) else caller()[1]


def with_rank(request: Request) -> str:
    return " from any rank" if request.peer == ANY else f" with rank {request.peer}"
