"""Defines the answer file of a find-the-bug exercise. The file names the line of the bug and the reason.

    exercises/chunk_order_bug/chunk_order_bug.answer.txt

        line = 12
        reason = b

The answer counts if the student has not changed the program. Otherwise the changed program is graded.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LETTERS, WIDTH = "abcdefgh", 79


@dataclass(frozen=True)
class BugToFind:
    """The bug of a find-the-bug exercise. lines: texts; an answer is right if its line of the program
    contains one of them. reason: the right reason. others: plausible wrong reasons.
    """

    lines: Sequence[str]
    reason: str
    others: Sequence[str]

    @property
    def reasons(self) -> dict[str, str]:
        """All reasons, as letter -> reason. They are sorted by text, so the order does not show which reason
        is right.
        """
        return dict(zip(LETTERS, sorted([self.reason, *self.others]), strict=False))


def answer_path(program: Path) -> Path:
    """Return the path of the answer file beside a program."""
    return program.with_suffix(".answer.txt")


def template(bug: BugToFind, program: str) -> str:
    """Return the text of an empty answer file. `program` is the name of the program's file."""
    rows = [f"Fix {program}, or name the bug here: the number of its line, and the letter of the reason."]
    rows += [f"  {letter}  {text}" for letter, text in bug.reasons.items()]
    lines = [line for row in rows for line in textwrap.wrap(
        row, WIDTH, initial_indent="# ", subsequent_indent="#      ", break_on_hyphens=False)]
    return "\n".join([*lines, "line =", "reason =", ""])
