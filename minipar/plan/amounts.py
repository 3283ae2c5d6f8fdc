"""Amounts of traffic, line by line: what a formula predicts, held against what a counter has counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol


class TrafficLine(NamedTuple):
    """What an amount is about: the axis ("dp", "tp"), the operation ("all_reduce sum", "send") and its
    label.
    """

    axis: str
    op: str
    label: str


class SentTotals(NamedTuple):
    """What one rank sends. calls: collectives entered, or messages of no collective; bytes: of arrays,
    without envelopes.
    """

    calls: int = 0
    messages: int = 0
    bytes: int = 0

    def plus(self, other: Amount) -> SentTotals:
        return SentTotals(self.calls + other.calls, self.messages + other.messages, self.bytes + other.bytes)


class Amount(Protocol):
    """Anything that tells calls, messages and bytes: Sent, and the counters' Tally."""

    @property
    def calls(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def bytes(self) -> int: ...


def added_up(lines: Iterable[tuple[TrafficLine, SentTotals]]) -> dict[TrafficLine, SentTotals]:
    total: dict[TrafficLine, SentTotals] = {}
    for line, sent in lines:
        total[line] = total.get(line, SentTotals()).plus(sent)
    return total


def by_axis(lines: Mapping[TrafficLine, Amount]) -> dict[str, SentTotals]:
    """The sum of each axis."""
    total: dict[str, SentTotals] = {}
    for line, sent in lines.items():
        total[line.axis] = total.get(line.axis, SentTotals()).plus(sent)
    return total


def differences(predicted: Mapping[TrafficLine, SentTotals], counted: Mapping[Any, Amount]) -> list[str]:
    """One text for each line in which the two differ; none if the formulas are right.

    counted: `traffic.by("group", "op", "label")` of a Counting communicator, for the same steps. A call that
    sends nothing, as on a group of one rank, need not be predicted.
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
