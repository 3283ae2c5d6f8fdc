"""The ledger of one rank records its messages and its open requests (those that are not waited for yet). When
a job ends, the ledgers of all ranks are compared.

Example of a mistake that the ledgers show: a program sends a message but never receives it. A small message
causes no error, because the MPI library buffers it. With a larger message, the send blocks for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from minipar.comm.diagnostics.call_site import caller, quoted
from minipar.comm.diagnostics.group_book import GroupBooks
from minipar.comm.diagnostics.in_flight import ArrayWatch
from minipar.comm.diagnostics.message_book import MessageBook
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError

OURS = -1                                                           # stands for the tags of all collectives


LedgerPage = dict[str, list[Any]]  # result of `Ledger.close`: the rows of "sent", "received" and "open"


class Ledger:
    """The ledger of world rank `rank`. It contains the messages of all its groups."""

    def __init__(self, rank: int) -> None:
        self.rank, self.closed = rank, False
        self.letters = MessageBook(rank)                            # messages of `isend_message`
        self.groups = GroupBooks()                                  # messages of `isend`
        self.open: dict[Request, Communicator] = {}                 # open request -> its group
        self.running: list[ArrayWatch] = []                              # started collectives

    @property
    def busy(self) -> bool:
        """Returns whether a message or a collective is in flight."""
        return bool(self.open or self.running or self.letters.open)

    def refuse_late_calls(self) -> None:
        """Raises CommError for a call after the end of the job, when no other rank receives messages."""
        if self.closed:
            operation, location = caller()
            raise CommError(f"rank {self.rank}: {operation} at {location} comes after the job's end; use the "
                            "communicator within the "
                            "`with job()` or the `run` that gave it")

    def close(self) -> LedgerPage:
        """Close the ledger at the end of the job, and return its rows. The rows are plain data. So they can
        be sent as JSON and compared with the rows of other ranks.
        """
        self.closed = True
        letters = self.letters.page()
        waiting = [started(request, comm.members[request.peer]) for request, comm in self.open.items()]
        own = {**self.groups.page(), "open": [[self.rank, what] for what in dict.fromkeys(waiting)]}
        return {name: rows + letters[name] for name, rows in own.items()}


def started(request: Request, peer: int) -> str:
    """Returns a request as text: "recv with rank 0 'prefetch' started at data.py:41". For a message of a
    collective, the text names the collective.
    """
    assert request.site is not None
    operation, location = request.site
    what = operation if request.tag >= TAGS else f"{request.kind} with rank {peer}"
    return f"{what}{quoted(request.label)} started at {location}"


def loose_ends(pages: Sequence[LedgerPage]) -> list[str]:
    """Returns texts about requests that were not waited for and messages that were not received. There is one
    text for each such request, and one for all such messages with the same sender, receiver and tag.
    """
    found = [f"rank {rank} never waited for its {what}" for page in pages for rank, what in page["open"]]
    # Two groups with the same name may contain the same two ranks. Then their counts are added.
    received: Counter[Any] = Counter()
    sent: dict[Any, tuple[int, str, str]] = {}
    for page in pages:
        for *channel, count in page["received"]:
            received[tuple(channel)] += count
        for *channel, count, label, location in page["sent"]:
            before, *_ = sent.get(tuple(channel), (0,))
            sent[tuple(channel)] = before + count, label, location
    for key, (count, label, location) in sent.items():
        if (lost := count - received[key]) > 0:
            _, source, dest, tag = key
            messages = "a message" if lost == 1 else f"{lost} messages, the last"
            numbered = f" (tag {tag})" if tag > 0 else ""
            found.append(f"rank {dest} never received {messages} from rank {source}{label}{numbered} "
                         f"sent at {location}")
    return found
