"""Shows a lesson section by section, and asks for a prediction before it shows an answer.

A reader can go to any section, quit, and continue later. A section uses variables of the sections before it.
So if the reader skips sections, the player runs their code first, and does not show its output.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from minipar.classroom import terminal
from minipar.classroom.cells import Cell, LessonFile
from minipar.classroom.progress import Progress, read_progress

ON, BACK, MENU, QUIT = "", "b", "m", "q"
HELP = "Enter: continue   b: back   m: sections   a number: that section   q: quit"


class Player:
    """A lesson for one reader.

    record: the file of the reader's progress. ask(question): returns the line that the reader types, and
    raises EOFError at the end of the input. show(text): prints the text. core: if true, leave out optional
    sections.
    """

    def __init__(self, lesson: LessonFile, record: Path, *, ask: Callable[[str], str],
                 show: Callable[[str], object], core: bool = False) -> None:
        self.lesson, self.record, self.ask, self.show, self.core = lesson, record, ask, show, core
        self.progress: Progress = read_progress(record)
        self.names: dict[str, Any] = {"__name__": "__main__", "__file__": str(lesson.path)}
        self.executed: set[int] = set()         # Cell.line of the cells that have run
        self.hidden: list[str] = []             # the running cell's code that is not yet shown

    def play(self, section: int | None = None) -> None:
        """Show the sections from number `section` on, until the end or until the reader quits. By default,
        begin with the section in which the reader stopped last time.
        """
        sections = self.lesson.sections
        here = self.progress.section if section is None else section
        here = here if here < len(sections) else 0
        while here < len(sections):
            self.progress.section = here
            self.progress.save(self.record)
            if self.core and not sections[here].is_core:
                here += 1
                continue
            self._run_up_to(here)
            answer = self._section(here)
            if answer == QUIT:
                self.show(f"\nYou stopped in section {here}. The same command continues here.")
                return
            here = self._next(here, answer)
        self.progress.section = 0
        self.progress.save(self.record)
        self.show("\nThat was the last section.")

    def predict(self, question: str, choices: Sequence[str] = ()) -> str:
        """Ask a question and return the reader's prediction. A prediction cannot be changed: the player asks
        each question only once.
        """
        self.show("\n" + terminal.prose(f"**Predict.** {question}"))
        for number, choice in enumerate(choices, 1):
            self.show(f"  {number}) {choice}")
        if question in self.progress.predictions:
            self.show(f"Your prediction is locked: {self.progress.predictions[question]}")
            self._show_next_piece()
            return self.progress.predictions[question]
        typed = self._typed("Your prediction (Enter: none): ").strip()
        if typed.isdigit() and 1 <= int(typed) <= len(choices):
            typed = choices[int(typed) - 1]
        if typed:
            self.progress.predictions[question] = typed
            self.progress.save(self.record)
        self._show_next_piece()
        return typed

    def _show_next_piece(self) -> None:
        """Show the code that follows a question, after the reader has answered it."""
        if self.hidden:
            self.show("\n" + terminal.code(self.hidden.pop(0)))

    def _section(self, number: int) -> str:
        """Show and run one section. Returns the reader's last command."""
        for cell in self.lesson.sections[number].cells:
            if cell.kind == "prose":
                self.show("\n" + terminal.prose(cell.text))
                continue
            first, *self.hidden = cell.pieces
            self.show("\n" + terminal.code(first))
            if (typed := self._command("[run it] ")) != ON:
                return typed
            self._run(cell)
        return self._command(f"\n[end of section {number}] ")

    def _command(self, prompt: str) -> str:
        """Return the next command of the reader: ON, BACK, QUIT, or the number of a section."""
        while True:
            typed = self._typed(prompt).strip().lower()
            if typed in (ON, BACK, QUIT) or typed.isdigit() and int(typed) < len(self.lesson.sections):
                return typed
            if typed == MENU:
                for number, section in enumerate(self.lesson.sections):
                    self.show(f"  {number:2}  {section.heading}")
            self.show(HELP)

    def _typed(self, prompt: str) -> str:
        try:
            return self.ask(prompt)
        except EOFError:
            return QUIT

    def _next(self, here: int, answer: str) -> int:
        if answer == ON:
            return here + 1
        return max(here - 1, 0) if answer == BACK else int(answer)

    def _run_up_to(self, section: int) -> None:
        """Run all code before this section that has not run yet. Its output is not shown."""
        waiting = [cell for before in self.lesson.sections[:section] for cell in before.cells
                   if cell.kind == "code" and cell.line not in self.executed]
        if waiting:
            self.show("(running the code of the sections before ...)")
            with redirect_stdout(io.StringIO()):
                for cell in waiting:
                    self._run(cell, asked=False)

    def _run(self, cell: Cell, *, asked: bool = True) -> None:
        if "lesson" in self.names:
            self.names["lesson"].ask = self.predict if asked else _nothing
        exec(self.lesson.compiled(cell), self.names)
        self.executed.add(cell.line)


def _nothing(question: str, choices: Sequence[str] = ()) -> str:
    return ""
