"""Writes the stdout and stderr of ranks that share a process. Only whole lines are written, so the lines of
different ranks do not mix. With an option, each line begins with its rank.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class RankStream:
    """Buffers the text of each rank and writes whole lines to a text stream.

    label: write "[rank] " before each line. Text of threads that belong to no rank is not buffered.
    """

    def __init__(self, stream: TextIO, ranks: dict[int, int], label: bool, heard: Any = None) -> None:
        self._stream, self._ranks, self._label, self._heard = stream, ranks, label, heard
        self._begun: dict[int, str] = {}
        self._lock, self.quiet = threading.Lock(), False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        rank = self._ranks.get(threading.get_ident())
        if rank is None:
            return self._stream.write(text)
        lines = (self._begun.get(rank, "") + text).split("\n")
        self._begun[rank] = lines.pop()
        if lines:
            self._put(rank, lines)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def _put(self, rank: int, lines: list[str]) -> None:
        head = f"[{rank}] " if self._label else ""
        if self._heard is not None:
            self._heard(rank, lines)
        with self._lock:
            if not self.quiet:
                self._stream.write("".join(f"{head}{line}\n" for line in lines))

    def flush(self) -> None:
        """Flush the stream. An unfinished line stays in the buffer until it is finished, or until the rank
        ends.
        """
        self._stream.flush()

    def end(self, rank: int) -> None:
        """Write the unfinished line of a rank that has ended."""
        if rest := self._begun.pop(rank, ""):
            self._put(rank, [rest])
        self._stream.flush()


class Processes(RankStream):
    """A RankStream for a rank that is a process. All threads of the process belong to the rank."""

    def __init__(self, stream: TextIO, rank: int, label: bool) -> None:
        super().__init__(stream, {}, label)
        self._own = rank

    def write(self, text: str) -> int:
        lines = (self._begun.get(self._own, "") + text).split("\n")
        self._begun[self._own] = lines.pop()
        if lines:
            self._put(self._own, lines)
        return len(text)


@contextmanager
def replaced(owner: Any, **values: Any) -> Iterator[None]:
    """A context in which the attributes of `owner` have these values. Afterwards they get their old values
    again.
    """
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
