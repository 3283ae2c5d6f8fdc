"""Walks through a plan of 90 minutes with a clock: `python -m tests.lessons.teaching.walk TENSOR_PARALLEL`.

It plays the core path of the plan's lesson in a terminal of 80 columns. At each question it types the wrong
prediction that the plan expects. It prints one row for each section: planned minutes, lines on the screen,
seconds of the computer, minutes to read. It fails if a line is wider than the terminal, or if an answer of
the lesson is not the right answer of the plan.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import tempfile
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from minipar.classroom.cells import LessonFile, Section, read_lesson
from tests.lessons.pages import minutes_of
from tests.lessons.running import LESSONS, script_of
from tests.ranks import ROOT

COLUMNS, ROWS, LIMIT = 80, 24, 300                                  # LIMIT: seconds for one answer
PROMPT = re.compile(r"\[run it\] $|\[end of section \d+\] $|Your prediction \(Enter: none\): $")
PLANS = {"TENSOR_PARALLEL": "14", "PIPELINES": "15"}


@dataclass
class Walked:
    """What one section showed. seconds: the time between a key and the next prompt, in all."""

    planned: int
    reading: float
    lines: list[str] = field(default_factory=list)
    seconds: float = 0.0


def lesson_of(number: str) -> LessonFile:
    return read_lesson(next(script_of(name) for name in LESSONS if name.startswith(f"{number}_")))


def table_rows(page: str, begin: str) -> list[list[str]]:
    """The cells of the rows of tables whose first cell begins so."""
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    return [row for row in found if re.match(begin, row[0])]


def answers(page: str) -> list[tuple[str, str]]:
    """(right, often said) of each question of a plan, in their order."""
    asked = [row for row in table_rows(page, r"\d\. ?") if row[1]]
    return [(row[1], row[2].partition(":")[0]) for row in asked]


def is_right(right: str, answer: str) -> bool:
    """Whether a plan's right answer is that of the lesson: the same words, or the same number first."""
    number = re.match(r"[\d.]+", answer)
    return right.startswith(number[0]) if number else right == answer


class Terminal:
    """A command in a terminal of 80 columns and 24 lines."""

    def __init__(self, words: list[str], folder: Path) -> None:
        child, self.master = pty.fork()
        if child == 0:
            os.chdir(folder)
            os.execv(words[0], words)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.child = child

    def until_prompt(self) -> tuple[str, float, bool]:
        """The text until the next prompt, its seconds, and whether there is a prompt. False: the command has
        ended.
        """
        text, begin = b"", time.monotonic()
        last = begin
        while time.monotonic() < begin + LIMIT:
            if not select.select([self.master], [], [], 0.2)[0]:
                if PROMPT.search(text.decode(errors="ignore")):
                    return text.decode().replace("\r", ""), last - begin, True
                continue
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:                                         # Linux: the other end is closed
                data = b""
            if not data:
                os.waitpid(self.child, 0)
                return text.decode().replace("\r", ""), last - begin, False
            text, last = text + data, time.monotonic()
        raise TimeoutError(f"no prompt in {LIMIT} s: {text.decode(errors='replace')[-200:]}")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode() + b"\n")


def walk(page: str, lesson: LessonFile, number: str) -> tuple[list[Walked], list[str]]:
    """What each section of the core path showed, and the answers that the lesson revealed."""
    core = [section for section in lesson.sections if section.is_core]
    walked = [Walked(int(end) - int(start), minutes_of(section)) for section, row in
              zip(core, table_rows(page, r"\d+ to"), strict=True) for start, _, end in [row[0].split()]]
    said = iter([wrong for _, wrong in answers(page)])
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(
            [sys.executable, "-m", "minipar", "lesson", "teach", number, "--core"], Path(folder)
        )
        here, goes_on = 0, True
        while goes_on:
            text, seconds, goes_on = terminal.until_prompt()
            walked[here].seconds += seconds
            walked[here].lines += text.splitlines()
            if goes_on:
                terminal.type(next(said) if text.endswith("none): ") else "")
            here = min(here + ("[end of section" in text), len(walked) - 1)
    shown = "\n".join(line for one in walked for line in one.lines)
    return walked, [" ".join(found.split()).partition(" (you predicted")[0] for found in
                    re.findall(r"^  answer: ((?:.|\n  )*)", shown, re.MULTILINE)]


def report(walked: list[Walked], core: list[Section]) -> None:
    print("section  planned, min  to read, min  computer, s  lines")
    for number, (one, section) in enumerate(zip(walked, core, strict=True)):
        print(
            f"{number:7}  {one.planned:12}  {one.reading:12.1f}  {one.seconds:11.1f}  {len(one.lines):5}  {section.heading}"
        )
    print(f"    all  {sum(one.planned for one in walked):12}  {sum(one.reading for one in walked):12.1f}  "
          f"{sum(one.seconds for one in walked):11.1f}  {sum(len(one.lines) for one in walked):5}")


def main(name: str) -> int:
    page, number = (ROOT / "lessons" / "teaching" / f"{name}.md").read_text(encoding="utf-8"), PLANS[name]
    lesson = lesson_of(number)
    walked, revealed = walk(page, lesson, number)
    report(walked, [section for section in lesson.sections if section.is_core])
    wide = [line for one in walked for line in one.lines if len(line) > COLUMNS]
    wrong = [f"the plan says {right!r}, the lesson {answer!r}" for (right, _), answer in
             zip(answers(page), revealed, strict=True) if not is_right(right, answer)]
    print(*[f"{len(line)} columns: {line}" for line in wide], *wrong, sep="\n")
    return bool(wide or wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
