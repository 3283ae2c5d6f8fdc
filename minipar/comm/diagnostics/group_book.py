"""Counts the messages that a rank has sent to and received from each rank of a group."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from minipar.comm.diagnostics.call_site import quoted
from minipar.comm.protocol import Communicator


class GroupBook:
    """The counts of one group. `sent` and `received` use ranks of the group. `sent_rows` and `received_rows`
    convert them to world ranks.

    name: the name of the group in the rows.
    """

    def __init__(self, comm: Communicator, name: str) -> None:
        self.name, self.members, self.me = name, comm.members, comm.members[comm.rank]
        # (receiver, tag) -> number of messages sent, label of the last one, call site of the last one
        self.sent: dict[tuple[int, int], list[Any]] = {}
        # (sender, tag) -> [number of messages]: a list, so that one look-up finds and changes the number
        self.received: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0])

    def send(self, dest: int, tag: int, label: str, line: str) -> None:
        row = self.sent.get((dest, tag))
        if row is None:
            self.sent[dest, tag] = [1, label, line]
            return
        row[0] += 1
        row[1] = label
        row[2] = line

    def receive(self, source: int, tag: int) -> None:
        self.received[source, tag][0] += 1

    def sent_rows(self) -> list[list[object]]:
        """Returns rows of [group, sender, receiver (world ranks), tag, number of messages, label and call
        site of the last one].
        """
        return [[self.name, self.me, self.members[dest], int(tag), count, quoted(label), line]
                for (dest, tag), (count, label, line) in self.sent.items()]

    def received_rows(self) -> list[list[object]]:
        """Returns rows of [group, sender, receiver (world ranks), tag, number of messages]."""
        return [[self.name, self.members[source], self.me, int(tag), count]
                for (source, tag), (count,) in self.received.items()]


class GroupBooks:
    """The books of all groups of a rank. prefix: a text before the name of each group in the rows."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.books: dict[tuple[str, tuple[int, ...]], GroupBook] = {}

    def of(self, comm: Communicator) -> GroupBook:
        """Returns the book of a group. Groups with the same name and members share a book."""
        key = comm.name, comm.members
        if key not in self.books:
            self.books[key] = GroupBook(comm, self.prefix + comm.name)
        return self.books[key]

    def page(self) -> dict[str, list[list[object]]]:
        """Returns the rows of all books, for the `LedgerPage` of this rank."""
        return {"sent": [row for book in self.books.values() for row in book.sent_rows()],
                "received": [row for book in self.books.values() for row in book.received_rows()]}
