"""Defines lines and amounts of traffic, and compares predicted with counted amounts. A line is an axis, an
operation and a label.
"""

# dp, tp: the axes of data and tensor parallelism

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol


class TrafficLine(NamedTuple):
    """Identifies an amount of traffic: an axis ("dp", "tp"), an operation ("all_reduce sum", "send") and a
    label.
    """

    axis: str
    op: str
    label: str


class SentTotals(NamedTuple):
    """Holds the traffic that one rank sends. calls: the number of collectives, and of sends outside of
    collectives. bytes: the bytes of the arrays, without message headers.
    """

    calls: int = 0
    messages: int = 0
    bytes: int = 0

    def plus(self, other: Amount) -> SentTotals:
        return SentTotals(self.calls + other.calls, self.messages + other.messages, self.bytes + other.bytes)

    def times(self, count: int) -> SentTotals:
        """Returns the amounts of `count` equal calls.

        >>> SentTotals(1, 2, 80).times(3)
        SentTotals(calls=3, messages=6, bytes=240)
        """
        return SentTotals(self.calls * count, self.messages * count, self.bytes * count)


class Amount(Protocol):
    """The interface of objects with calls, messages and bytes, such as SentTotals and MessageTally."""

    @property
    def calls(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def bytes(self) -> int: ...


def added_up(lines: Iterable[tuple[TrafficLine, SentTotals]]) -> dict[TrafficLine, SentTotals]:
    """Returns the sum of the amounts with the same line."""
    total: dict[TrafficLine, SentTotals] = {}
    for line, sent in lines:
        total[line] = total.get(line, SentTotals()).plus(sent)
    return total


def by_axis(lines: Mapping[TrafficLine, Amount]) -> dict[str, SentTotals]:
    """Returns the sum of the amounts of each axis."""
    total: dict[str, SentTotals] = {}
    for line, sent in lines.items():
        total[line.axis] = total.get(line.axis, SentTotals()).plus(sent)
    return total


def differences(predicted: Mapping[TrafficLine, SentTotals], counted: Mapping[Any, Amount]) -> list[str]:
    """Returns one text for each line in which `predicted` and `counted` differ. The list is empty if all
    lines are equal.

    counted: `traffic.by("group", "op", "label")` of a Counting communicator, for the same steps. A counted
    call without messages, as on a group of one rank, may be missing from the prediction.
    """
    lines = {TrafficLine(*key): SentTotals().plus(amount) for key, amount in counted.items()}
    texts = []
    for line in sorted(predicted.keys() | lines.keys()):
        want, got = predicted.get(line, SentTotals()), lines.get(line, SentTotals())
        if want != got and (line in predicted or got.messages):
            texts.append(f"{line.axis}, {line.op}, {line.label}: predicted {_text(want)}, counted "
                         f"{_text(got)}")
    return texts


def _text(sent: SentTotals) -> str:
    return f"{sent.calls} call(s), {sent.messages} message(s), {sent.bytes} bytes"


def bytes_text(nbytes: float) -> str:
    """Returns an amount of bytes with three digits and a unit.

    >>> bytes_text(3 * 2**29), bytes_text(17)
    ('1.5 GiB', '17 B')
    """
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes:.0f} B"
