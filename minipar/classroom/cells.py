"""Reads a lesson, which is a Python file of cells.

A cell of prose begins with the line `# %% [markdown]`. A cell of code begins with the line `# %%`.

Example: this file has three cells. The last two form the section "1 · Ranks".

    # %% [markdown]
    # # 00 · Your first parallel program
    # %% [markdown]
    # ## 1 · Ranks
    # A job has several ranks.
    # %%
    print("I am a rank")
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import CodeType

from minipar.errors import ConfigError
from minipar.untrusted.files import MIB, read_bytes

LONGEST_LESSON = 4 * MIB                                            # bytes

OPTIONAL = "(optional)"                 # ends the heading of a section that `--core` leaves out


@dataclass(frozen=True)
class Cell:
    """A cell of a lesson.

    kind: "prose" or "code". text: for prose, Markdown without the leading `# `; for code, Python. line: the
    number of the text's first line in the file, counted from 1.
    """

    kind: str
    text: str
    line: int

    @cached_property
    def heading(self) -> str:
        """The heading in the cell's first line, or "" if there is none. A heading begins a section."""
        found = re.match(r"#{1,2} (.+)", self.text.strip()) if self.kind == "prose" else None
        return found[1].strip() if found else ""

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The code in pieces. A piece ends after each `lesson.predict(...)`, because the code after a
        question shows the answer.

        Example: the three lines `a = 1`, `lesson.predict("b?")` and `b = 2` have two pieces: the first two
        lines, and the third line.
        """
        ends = [statement.end_lineno for statement in ast.parse(self.text).body if _is_question(statement)]
        lines, borders = self.text.splitlines(), [0, *ends, None]
        parts = ["\n".join(lines[one:other]).strip("\n") for one, other in pairwise(borders)]
        return tuple(part for part in parts if part)


def _is_question(statement: ast.stmt) -> bool:
    return (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
            and isinstance(statement.value.func, ast.Attribute) and statement.value.func.attr == "predict")


@dataclass(frozen=True)
class Section:
    """The cells under one heading."""

    heading: str
    cells: tuple[Cell, ...]

    @property
    def is_core(self) -> bool:
        return not self.heading.endswith(OPTIONAL)


@dataclass(frozen=True)
class LessonFile:
    """The sections of a lesson. The first one contains the title and the imports."""

    path: Path
    sections: tuple[Section, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    def compiled(self, cell: Cell) -> CodeType:
        """Compile a cell. The code has the line numbers of the file, so a traceback shows the right lines.
        """
        return compile(ast.parse("\n" * (cell.line - 1) + cell.text, str(self.path)), str(self.path), "exec",
                       dont_inherit=True)


def read_lesson(path: Path) -> LessonFile:
    """Read the lesson in a file. Raises ConfigError if the file is empty, is not UTF-8, or cannot be read."""
    try:
        cells = _cells(read_bytes(path, LONGEST_LESSON, ConfigError).decode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: byte {error.start}; save it as UTF-8 text") from error
    if not cells:
        raise ConfigError(f"{path} has nothing to run")
    sections: list[tuple[str, list[Cell]]] = []
    for cell in cells:
        if cell.heading or not sections:
            sections.append((cell.heading or path.stem, []))
        sections[-1][1].append(cell)
    return LessonFile(path, tuple(Section(heading, tuple(parts)) for heading, parts in sections))


def _cells(source: str) -> list[Cell]:
    found: list[tuple[str, int, list[str]]] = [("code", 1, [])]      # the lines before the first `# %%`
    for number, line in enumerate(source.splitlines(), 1):
        if mark := re.match(r"# %%\s*(\[markdown\])?", line):
            found.append(("prose" if mark[1] else "code", number + 1, []))
        else:
            found[-1][2].append(re.sub(r"^# ?", "", line) if found[-1][0] == "prose" else line)
    return [Cell(kind, "\n".join(lines).strip("\n"), first + _blank(lines)) for kind, first, lines in found
            if any(line.strip() for line in lines)]


def _blank(lines: list[str]) -> int:
    """Return the number of empty lines at the beginning of a cell."""
    return next(number for number, line in enumerate(lines) if line)
