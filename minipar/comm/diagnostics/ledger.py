"""The ledger of one rank: messages sent, received, and never waited for. The ledgers are compared when a job
ends.

Small runs hide a message that is never received: the MPI library buffers it, but blocks when it is larger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from minipar.comm.diagnostics.call_site import caller, quoted
from minipar.comm.diagnostics.in_flight import ArrayWatch
from minipar.comm.diagnostics.message_book import MessageBook
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import CommError

ChannelKey = tuple[str, int, int, int]                                 # group, from, to (world ranks), tag
OURS = -1                                                           # replaces the tags of all collectives


LedgerPage = dict[str, list[Any]]  # result of `Ledger.close`: rows by "sent", "received", "open"


class Ledger:
    """The ledger of world rank `rank`, for all its groups."""

    def __init__(self, rank: int) -> None:
        self.rank, self.closed = rank, False
        self.letters = MessageBook(rank)                            # messages with an envelope
        # number of messages sent, label and line of the last
        self.sent: dict[ChannelKey, list[Any]] = {}
        self.received: Counter[ChannelKey] = Counter()
        # not yet waited for -> call, partner, line
        self.open: dict[Request, tuple[str, int, str]] = {}
        self.sent_as: dict[Request, bytes] = {}  # arrays being sent -> content at the start
        self.running: list[ArrayWatch] = []                              # started collectives

    @property
    def busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self.open or self.running or self.letters.open)

    def start(self, comm: Communicator, request: Request) -> None:
        """Record a request that the program will wait for later."""
        site = request.site = request.site or caller()
        self.open[request] = site[0], comm.members[request.peer], site[1]
        self.count(comm, request)

    def count(self, comm: Communicator, request: Request) -> None:
        peer, tag = comm.members[request.peer], request.tag if request.tag < TAGS else OURS
        if request.kind == "recv":
            self.received[comm.name, peer, self.rank, tag] += 1
            return
        channel, location = (comm.name, self.rank, peer, tag), (request.site or caller())[1]
        if channel in self.sent:
            last = self.sent[channel]
            last[0], last[1], last[2] = last[0] + 1, request.label, location
        else:
            self.sent[channel] = [1, request.label, location]

    def settle(self, request: Request) -> tuple[tuple[str, int, str] | None, bytes | None]:
        """Remove a request. Returns its entry in `open` (None if settled before) and in `sent_as`."""
        return self.open.pop(request, None), self.sent_as.pop(request, None)

    def refuse_late_calls(self) -> None:
        """Raises CommError after the end of the job, when no other rank listens."""
        if self.closed:
            operation, location = caller()
            raise CommError(f"rank {self.rank}: {operation} at {location} comes after the job's end; use the "
                            "communicator within the "
                            "`with job()` or the `run` that gave it")

    def close(self) -> LedgerPage:
        """The job has ended: returns the ledger for comparison, as plain data for JSON."""
        self.closed = True
        letters = self.letters.page()
        own = {
            "sent": [[*channel, count, quoted(label), location]
                     for channel, (count, label, location) in self.sent.items()],
            "received": [[*channel, count] for channel, count in self.received.items()],
            "open": [[self.rank, what] for what in dict.fromkeys(map(started, self.open,
                                                                     self.open.values()))],
        }
        return {name: rows + letters[name] for name, rows in own.items()}


def started(request: Request, about: tuple[str, int, str]) -> str:
    """ "recv with rank 0 'prefetch' started at data.py:41"; for a message of a collective, the collective's
    name.
    """
    operation, peer, location = about
    what = operation if request.tag >= TAGS else f"{request.kind} with rank {peer}"
    return f"{what}{quoted(request.label)} started at {location}"


def loose_ends(pages: Sequence[LedgerPage]) -> list[str]:
    """Requests never waited for and messages never received, in words, one entry per request or channel."""
    found = [f"rank {rank} never waited for its {what}" for page in pages for rank, what in page["open"]]
    received: dict[Any, int] = {tuple(channel): count for page in pages for *channel,
                                count in page["received"]}
    for page in pages:
        for *channel, count, label, location in page["sent"]:
            if (lost := count - received.get(tuple(channel), 0)) > 0:
                _, source, dest, tag = channel
                messages = "a message" if lost == 1 else f"{lost} messages, the last"
                numbered = f" (tag {tag})" if tag > 0 else ""
                found.append(f"rank {dest} never received {messages} from rank {source}{label}{numbered} "
                             f"sent at {location}")
    return found
