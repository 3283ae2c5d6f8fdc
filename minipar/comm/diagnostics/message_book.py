"""The part of `Ledger` for messages of `isend_message`. It records sends, receives and open requests.

A receive is counted when it is complete. Only then the sender of a receive from any source is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from minipar.comm.diagnostics.call_site import CallSite, caller
from minipar.comm.diagnostics.group_book import GroupBooks
from minipar.comm.diagnostics.in_flight import snapshot
from minipar.comm.message_types import OBJECT
from minipar.comm.protocol import ANY, Request

LETTERS_OF = "letters of "  # prefix of the group's name, which makes a separate channel in the ledger


class MessageBook:
    """The book of world rank `rank`, for all groups of this rank."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.groups = GroupBooks(LETTERS_OF)
        self.open: dict[Request, tuple[str, str]] = {}  # for each open request, the call and its line
        self.sent_as: dict[Request, bytes] = {}  # for a send in flight, the content of its array at the start

    def start(self, request: Request, *, watch: bool) -> None:
        """Record a request. watch: whether to check that the array does not change before the request is
        complete.
        """
        letter = "i" if request.type_code == OBJECT else "I"
        self.open[request] = f"{letter}{request.kind}", line_of(request.label)
        if watch:
            self.sent_as[request] = snapshot(request.array)

    def in_flight(self) -> Iterator[tuple[Request, str]]:
        """Yields the open requests that have an array, each with the line that started it."""
        return ((request, location) for request, (_, location) in self.open.items()
                if request.array is not None)

    def done(self, request: Request) -> tuple[str, bytes] | None:
        """Record that a request was waited for. For a watched send, returns the line of the send and the
        content of the array at the start.
        """
        _, location = self.open.pop(request, ("", ""))
        before = self.sent_as.pop(request, None)
        return None if before is None else (location, before)

    def forget(self, request: Request) -> None:
        """Remove a request that the program has cancelled or will not wait for."""
        self.open.pop(request, None)
        self.sent_as.pop(request, None)

    def page(self) -> dict[str, list[list[object]]]:
        """Returns the book as a page of the ledger."""
        waiting = [f"{call}{with_rank(request)} started at {location}"
                   for request, (call, location) in self.open.items() if request.kind != "probe"]
        return {**self.groups.page(), "open": [[self.rank, what] for what in dict.fromkeys(waiting)]}


def line_of(label: str) -> str:
    """Returns the line of a call: the label if it is a line, else the line from the stack."""
    return label if isinstance(label, CallSite) else caller()[1]


def with_rank(request: Request) -> str:
    return " from any rank" if request.peer == ANY else f" with rank {request.peer}"
