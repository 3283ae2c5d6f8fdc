"""The texts of `minipar exercise`, at most 80 columns wide. Colours are used only on a terminal. The state of
a light is also shown as a word, so no colour is needed to read it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence

from minipar.exercises.exercise import Exercise
from minipar.exercises.light import Light, Verdict
from minipar.exercises.shown import shown

WIDTH = 79
LONGEST_LINE = 2000  # characters of a printed line that are shown
WORDS = {"on": "on ", "off": "OFF", "dark": " . ", "none": " - "}
COLOURS = {"on": "32", "off": "31"}
BLANK = " " * 20


def coloured(text: str, state: str) -> str:
    if state in COLOURS and sys.stdout is not None and sys.stdout.isatty():
        return f"\x1b[{COLOURS[state]}m{text}\x1b[0m"
    return text


def verdict_lines(verdict: Verdict) -> list[str]:
    return [line for light in verdict.lights for line in light_lines(light)]


def light_lines(light: Light) -> list[str]:
    """Return lines about one light: its state, the diagnosis, the line of the student's code, and the next
    step.
    """
    said = {"dark": "not judged yet", "none": "this exercise has none"}.get(light.state, light.diagnosis)
    head = f"  {coloured(WORDS[light.state], light.state)}  {light.name:<13}"
    lines = wrapped(said, BLANK) or [BLANK]
    lines[0] = head + lines[0][len(BLANK) :]
    if light.where:
        lines += wrapped(f"({light.where})", BLANK)
    if light.advice:
        lines += wrapped(f"-> {light.advice}", BLANK, "   ")
    return [line.rstrip() for line in lines]


def wrapped(text: str, indent: str, more: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + more,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printed_lines(printed: Sequence[tuple[int, int, str]]) -> list[str]:
    """Return lines with the output of the submission, rank by rank."""
    if not printed:
        return []
    lines = ["", f"  your output, on {printed[0][0]} rank{'s' * (printed[0][0] > 1)}:"]
    for _, rank, text in printed:
        for line in text.rstrip("\n").splitlines()[:40]:
            head = f"  rank {rank} | "
            safe = shown(line.expandtabs(), LONGEST_LINE)
            lines += textwrap.wrap(safe, WIDTH, initial_indent=head, subsequent_indent=head,
                                   drop_whitespace=False, break_on_hyphens=False) or [head.rstrip()]
    return lines


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def chapter_title(chapter: str) -> str:
    """ Return the title of a chapter: "02_collectives" becomes "2 Collectives"."""
    number, _, words = chapter.partition("_")
    return f"{int(number)} {words.replace('_', ' ').capitalize()}"


def about(exercise: Exercise) -> list[str]:
    """Return lines with the kind, the minutes, the prerequisites, and the command that runs the lesson."""
    before = f"; after {', '.join(exercise.prerequisites)}" if exercise.prerequisites else ""
    return [*wrapped(f"{exercise.kind}, about {exercise.minutes} minutes{before}", ""),
            f"its lesson: minipar lesson run {exercise.lesson}"]
