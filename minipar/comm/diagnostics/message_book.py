"""The part of `Ledger` for messages of `isend_message`. It records sends, receives and open requests.

A receive is counted when it is complete. Until then, the sender of a receive from any source is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from minipar.comm.diagnostics.call_site import CallSite, caller
from minipar.comm.diagnostics.group_book import GroupBooks
from minipar.comm.message_types import OBJECT
from minipar.comm.protocol import ANY, Request

# prefix of the group's name, so that the ledger counts these messages apart from those of `isend`
LETTERS_OF = "letters of "


class MessageBook:
    """The messages and open requests of world rank `rank`, in all its groups."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.groups = GroupBooks(LETTERS_OF)
        self.open: dict[Request, str] = {}                          # open request -> its line

    def in_flight(self) -> Iterator[tuple[Request, str]]:
        """Yields the open requests that have an array, each with the line that started it."""
        return ((request, location) for request, location in self.open.items() if request.array is not None)

    def forget(self, request: Request) -> None:
        """Remove a request that the program has cancelled or will not wait for."""
        self.open.pop(request, None)
        request.content = None

    def page(self) -> dict[str, list[list[object]]]:
        """Returns the book as a page of the ledger."""
        waiting = [f"{call_of(request)}{with_rank(request)} started at {location}"
                   for request, location in self.open.items() if request.kind != "probe"]
        return {**self.groups.page(), "open": [[self.rank, what] for what in dict.fromkeys(waiting)]}


def line_of(label: str) -> str:
    """Returns the line of a call: the label if it is a line, else the line from the stack."""
    return label if type(label) is CallSite else caller()[1]


def call_of(request: Request) -> str:
    """Returns the mpi4py call that started a request, such as "Isend"."""
    return f"{'i' if request.type_code == OBJECT else 'I'}{request.kind}"


def with_rank(request: Request) -> str:
    return " from any rank" if request.peer == ANY else f" with rank {request.peer}"
