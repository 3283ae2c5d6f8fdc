"""Replaces the standard input of the student's process. An exercise has no standard input: nobody could type
a line, and under mpirun the ranks have no keyboard. So a read raises an error at once instead of waiting.
"""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

from minipar.exercises.fence import Refused


class NoInput(io.TextIOBase):
    """A stream that raises Refused when it is read."""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> NoReturn:
        raise Refused("reading standard input, as input() does, is not allowed in an exercise")

    def readline(self, size: int = -1) -> NoReturn:                 # type: ignore[override]
        self.read()

    @property
    def buffer(self) -> NoInput:
        return self


def install() -> None:
    """Replace the standard input by a `NoInput`."""
    sys.stdin = sys.__stdin__ = NoInput()                           # type: ignore[misc,assignment]


def take_descriptor() -> int:
    """Return a new descriptor for the stream that descriptor 0 has. Descriptor 0 then is an empty file."""
    taken, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return taken
