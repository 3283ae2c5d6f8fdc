"""The other answer to a find-the-bug exercise: the line of the bug, and the reason, in an answer file.

    exercises/chunk_order_bug/chunk_order_bug.answer.txt

        line = 12
        reason = b

The answer counts if the program is still as it was given; otherwise the changed program is graded.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LETTERS, WIDTH = "abcdefgh", 79


@dataclass(frozen=True)
class BugToFind:
    """lines: parts of the program's lines that are right answers. reason: why they are wrong. others: wrong
    reasons, each of which a student may believe.
    """

    lines: Sequence[str]
    reason: str
    others: Sequence[str]

    @property
    def reasons(self) -> dict[str, str]:
        """Letter -> reason, in an order that does not show which one is right."""
        return dict(zip(LETTERS, sorted([self.reason, *self.others]), strict=False))


def answer_path(program: Path) -> Path:
    """The answer file beside a program."""
    return program.with_suffix(".answer.txt")


def template(bug: BugToFind, program: str) -> str:
    """The answer file to fill in. program: the name of its file."""
    rows = [f"Fix {program}, or name the bug here: the number of its line, and the letter of the reason."]
    rows += [f"  {letter}  {text}" for letter, text in bug.reasons.items()]
    lines = [line for row in rows for line in textwrap.wrap(
        row, WIDTH, initial_indent="# ", subsequent_indent="#      ", break_on_hyphens=False)]
    return "\n".join([*lines, "line =", "reason =", ""])
