"""Finds ranks that split a communicator in different orders. The n-th split of each rank makes the same
groups as the n-th splits of the other ranks. So with different orders the groups are wrong, although no call
fails. Then the results are wrong numbers, or the ranks wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations

from minipar.comm.diagnostics.call_site import CallSite, count_as_inside, group, label_or_call_site
from minipar.comm.protocol import CHECK_TAG, Communicator, exchange_texts
from minipar.comm.wrappers.base import Wrapper
from minipar.errors import CommError


class SplitOrder(Wrapper):
    """A communicator that compares the order of the ranks' splits. lines: the lines of the student's file.

    A split is known by its label, or without a label by the text of its line. Two branches of an `if` have
    different lines, but usually the same texts. If two ranks make the same splits in different orders, the
    last of these splits raises the same CommError on all ranks.
    """

    def __init__(self, inner: Communicator, lines: Sequence[str]) -> None:
        super().__init__(inner)
        self.lines = lines
        self.splits: list[tuple[str, str]] = []  # of each split: its text, and its line such as "a.py:4"

    def wrap(self, part: Communicator) -> Communicator:
        return SplitOrder(part, self.lines)

    def split(self, color: int | None, key: int = 0, *, label: str | None = None) -> Communicator | None:
        given = label_or_call_site(label)
        self.splits.append((self._text(given), given))
        texts = exchange_texts(self.inner, json.dumps(self.splits), label=given, tag=CHECK_TAG)
        of_ranks = [[(text, site) for text, site in json.loads(each)] for each in texts]
        for (first, one), (second, other) in combinations(enumerate(of_ranks), 2):
            if differ_in_order([text for text, _ in one], [text for text, _ in other]):
                raise CommError(f"ranks {self.members[first]} and {self.members[second]} split "
                                f"{group(self.name)} in different orders: rank {self.members[first]} at "
                                f"{in_words(one)}; rank {self.members[second]} at {in_words(other)}")
        return super().split(color, key, label=label)

    def _text(self, label: str) -> str:
        """Return the text of the line at a call site, without spaces. Return any other label unchanged."""
        _, _, line = label.rpartition(":")
        if not isinstance(label, CallSite) or not line.isdigit() or not 0 < int(line) <= len(self.lines):
            return label
        return "".join(self.lines[int(line) - 1].split())


def differ_in_order(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return True if the two lists have the same elements in different orders.

    >>> differ_in_order(["row", "column"], ["column", "row"]), differ_in_order(["row"], ["column"])
    (True, False)
    """
    return one != other and sorted(one) == sorted(other)


def in_words(splits: Sequence[tuple[str, str]]) -> str:
    return ", then ".join(site for _, site in splits)


count_as_inside(__file__)
