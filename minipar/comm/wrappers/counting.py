"""Counts every message. Tests and lessons compare these numbers with formulas for the traffic.

    comm = Counting(comm)
    all_reduce(comm, gradient, label="gradients")
    print(comm.traffic.table())
    assert comm.traffic.total().bytes == ...

A rank counts only the messages that it sends. So each message counts once, and the counts of several ranks
can be added. A message of a collective counts under the name of the collective. Any other message counts as
"send". Messages of `split` are not counted, nor are messages of a `Checking` wrapper inside this one. The MPI
library's own collectives and shared memory send no messages through this wrapper, so only their calls are
counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minipar.comm.diagnostics.call_site import label_or_call_site
from minipar.comm.protocol import NOT_GIVEN, Communicator, Request
from minipar.comm.wrappers.labelled import Labelled


class Key(NamedTuple):
    """The key of a tally, which is a row of counts. source, dest: world ranks. dest is -1 for the call of a
    collective.
    """

    label: str
    op: str
    group: str
    source: int
    dest: int


@dataclass
class MessageTally:
    """The numbers for one key. calls: how often the program called a collective or a send. messages: the
    number of messages sent. bytes: the bytes of the arrays, without the envelopes.
    """

    calls: int = 0
    messages: int = 0
    bytes: int = 0

    def add(self, other: MessageTally) -> None:
        self.calls += other.calls
        self.messages += other.messages
        self.bytes += other.bytes


class Traffic:
    """A table of tallies. Tables can be added, compared, summed by columns, and printed."""

    def __init__(self, entries: Iterable[tuple[Key, MessageTally]] = ()) -> None:
        self.tallies: dict[Key, MessageTally] = {}
        for key, tally in entries:
            self.at(key).add(tally)

    def at(self, key: Key) -> MessageTally:
        """Returns the tally of this key. Creates it if needed."""
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = MessageTally()
        return tally

    def __iter__(self) -> Iterator[tuple[Key, MessageTally]]:
        return iter(self.tallies.items())

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic([*self, *other])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Traffic) and self.tallies == other.tallies

    def __repr__(self) -> str:
        return f"Traffic({list(self)!r})"

    def total(self) -> MessageTally:
        return self.by().get((), MessageTally())

    def by(self, *columns: str) -> dict[tuple[str | int, ...], MessageTally]:
        """Sum over the columns that are not named: by("op") gives {("all_reduce sum",): tally, ...}."""
        sums: dict[tuple[str | int, ...], MessageTally] = {}
        for key, tally in self:
            sums.setdefault(tuple(getattr(key, column) for column in columns), MessageTally()).add(tally)
        return sums

    def between(self, nodes: tuple[int, ...]) -> dict[tuple[int, int], MessageTally]:
        """Sum by pair of nodes (from, to). nodes: the node of each world rank, as in `comm.nodes`."""
        sums: dict[tuple[int, int], MessageTally] = {}
        for key, tally in self:
            if key.dest >= 0:
                sums.setdefault((nodes[key.source], nodes[key.dest]), MessageTally()).add(tally)
        return sums

    def table(self) -> str:
        """Returns one line of text for each (label, op, group). The line with the most bytes comes first."""
        sums = sorted(self.by("label", "op", "group").items(), key=lambda entry: (-entry[1].bytes, entry[0]))
        rows = [("label", "op", "group", "calls", "messages", "bytes")]
        for (label, op, group), tally in sums:
            rows.append((str(label), str(op), str(group), f"{tally.calls:,}", f"{tally.messages:,}",
                         f"{tally.bytes:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(6)]
        form = "  ".join(f"{{:{'<' if column < 3 else '>'}{width}}}" for column, width in enumerate(widths))
        return "\n".join(form.format(*row) for row in rows)


class Counting(Labelled):
    """Counts the messages that this rank sends. Groups that are split off from this one use the same
    `traffic`.
    """

    def __init__(self, inner: Communicator, traffic: Traffic | None = None) -> None:
        super().__init__(inner)
        self.traffic = Traffic() if traffic is None else traffic
        self._me = inner.members[inner.rank]

    def isend(self, array: np.ndarray, dest: int = NOT_GIVEN, *, label: str | None = None,
              tag: int = 0) -> Request:
        label = label_or_call_site(label)
        request = super().isend(array, dest, label=label, tag=tag)
        op = self.op_of("send", tag)
        tally = self.traffic.at(Key(label, op, self.name, self._me, self.members[dest]))
        tally.calls += op == "send"
        tally.messages += 1
        tally.bytes += array.nbytes
        return request

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        request = super().isend_message(data, dest, type_code=type_code, tag=tag, label=label,
                                        synchronous=synchronous)
        self.traffic.at(Key(label, "send", self.name, self._me, self.members[dest])).add(
            MessageTally(1, 1, data.nbytes))
        return request

    def entering(self, op: str, shape: tuple[int, ...] | None, dtype: np.dtype | None,
                 *, label: str | None = None, **agreed: Any) -> int:
        label = label_or_call_site(label)
        self.traffic.at(Key(label, op, self.name, self._me, -1)).calls += 1
        return super().entering(op, shape, dtype, label=label, **agreed)

    def wrap(self, part: Communicator) -> Communicator:
        return Counting(part, self.traffic)
