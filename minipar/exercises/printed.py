"""Keeps the printed output of each rank separately. This module runs in the student's process.

If several ranks print at the same time, their mixed output is unreadable. So a `Printed` object replaces
`sys.stdout` and `sys.stderr`. It knows the rank of each thread, and keeps one text per rank.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings

LONGEST = 20_000  # number of characters that are kept per rank and call


class Printed(io.TextIOBase):
    """A stream that keeps the output of each rank separately."""

    def __init__(self) -> None:
        self._ranks = threading.local()
        self._texts: dict[int, list[str]] = {}
        self._lengths: dict[int, int] = {}

    def as_rank(self, rank: int) -> None:
        """Set the rank of the current thread."""
        self._ranks.rank = rank

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        rank = getattr(self._ranks, "rank", 0)
        length = self._lengths.get(rank, 0)
        if length < LONGEST:
            kept = text[: LONGEST - length]
            self._texts.setdefault(rank, []).append(kept)
            self._lengths[rank] = length + len(kept)
            if length + len(kept) >= LONGEST:
                self._texts[rank].append(f"\n[more than {LONGEST:,} characters: the rest is dropped]\n")
        return len(text)

    def take(self, rank: int) -> str:
        """Return the rank's output since the last call of `take`."""
        self._lengths.pop(rank, None)
        return "".join(self._texts.pop(rank, []))


def install() -> Printed:
    """Replace the output streams of this process by a `Printed`, and return it."""
    stream = Printed()
    sys.stdout = sys.stderr = stream
    warnings.formatwarning = short
    return stream


def short(message: Warning | str, category: type[Warning], filename: str, lineno: int,
          line: str | None = None) -> str:
    """Format a warning in one line, with the name of the file but without its folder."""
    return f"{os.path.basename(filename)}:{lineno}: {category.__name__}: {message}\n"
