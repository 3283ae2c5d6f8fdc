"""`minipar lesson`: list the lessons, run one, or play one with predictions.

    minipar lesson list
    minipar lesson teach 0
    mpirun -n 4 minipar lesson run 13

Lessons are scripts in the folder lessons/ beside the package. The table in lessons/README.md describes them.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import minipar
from minipar.checkpoint.atomic import replacing
from minipar.classroom.cells import LessonFile, read_lesson
from minipar.classroom.notebook import notebook
from minipar.classroom.player import Player
from minipar.classroom.running import run_lesson
from minipar.classroom.slides import slides
from minipar.cli.files import require_folder
from minipar.cli.keyboard import require_standard_input, typed
from minipar.errors import ConfigError, brief, shown
from minipar.untrusted.files import MIB, read_bytes

PICTURES = Path("runs/lessons")
LONGEST_TABLE = MIB  # largest size in bytes of lessons/README.md
# the first cell of a row; the number of cells of a row
LINK, COLUMNS = re.compile(r"\[(.*)\]\((\w+)\.py\)"), 8
TITLE = 32                                                          # width of a title in the list


@dataclass(frozen=True)
class Entry:
    """A row of the table of lessons. `core` is the time to read the sections that are not optional ("35
    min"). `seconds` is the run time in seconds, and `fast` is the run time with --fast.
    """

    name: str
    title: str
    core: str
    ranks: str
    seconds: str
    fast: str

    @property
    def number(self) -> str:
        """The lesson's name on the command line: 7 for 07_linear, or the whole name if it has no number."""
        number, separator, _ = self.name.partition("_")
        return str(int(number)) if separator and number.isdigit() else self.name


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("list", help="list number, title, reading time without optional sections, "
                                           "ranks, run time")
    show.set_defaults(run=list_lessons)
    one = actions.add_parser("run", help="run a lesson; several ranks: mpirun -n 4 minipar lesson run 13")
    one.add_argument("lesson", help="the lesson's number, or its name if it has none")
    one.add_argument("--fast", action="store_true", help="train less; all claims are still checked")
    one.add_argument("--out", type=Path, default=PICTURES, metavar="FOLDER",
                     help=f"folder for pictures (default {PICTURES})")
    one.set_defaults(run=run_one, joins_itself=True)
    teach = actions.add_parser("teach", help="go through a lesson: read, predict, then see",
                               description="Go through a lesson: read, predict, then see the result. A "
                                           "prediction cannot be changed. You can stop and continue later.")
    teach.add_argument("lesson", help="the lesson's number, or its name if it has none")
    teach.add_argument("--section", type=int, metavar="N", help="start with this section (0 is the first)")
    teach.add_argument("--core", action="store_true", help="leave out the sections marked as optional")
    teach.add_argument("--fast", action="store_true", help="train less; all claims are still checked")
    teach.add_argument("--out", type=Path, default=PICTURES, metavar="FOLDER",
                       help=f"folder for pictures and your progress (default {PICTURES})")
    teach.add_argument("--slides", type=Path, metavar="FILE",
                       help="instead of questions, write slides to one HTML file, which needs no network")
    teach.set_defaults(run=teach_one)
    export = actions.add_parser("export", help="write a lesson as a Jupyter notebook")
    export.add_argument("lesson", help="the lesson's number, or its name if it has none")
    export.add_argument("--ipynb", type=Path, metavar="FILE", required=True, help="the notebook to write")
    export.set_defaults(run=export_one)


def list_lessons(options: argparse.Namespace) -> int:
    rows = [("", "lesson", "core path", "ranks", "seconds", "--fast")]
    for entry in entries(lessons_folder()):
        first, *others = textwrap.wrap(entry.title, TITLE)
        rows.append((entry.number, first, entry.core, entry.ranks, entry.seconds, entry.fast))
        rows += [("", line, "", "", "", "") for line in others]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def run_one(options: argparse.Namespace) -> int:
    """Run the lesson in this process. Under mpirun, every process runs it as one rank."""
    lesson = _opened(options)
    began = time.perf_counter()
    names = run_lesson(lesson)
    seconds = time.perf_counter() - began
    names["lesson"].say(
        f"lesson {options.lesson} ran to its end in {seconds:.1f} s; its pictures are in {options.out}"
    )
    return 0


def teach_one(options: argparse.Namespace) -> int:
    """Show the lesson section by section at this terminal, and ask for predictions."""
    lesson = _opened(options)
    if options.section is not None and not 0 <= options.section < len(lesson.sections):
        raise ConfigError(f"--section {options.section}: lesson {options.lesson} has the sections 0 to "
                          f"{len(lesson.sections) - 1}")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.slides:
        return _write(options.slides, slides(lesson))
    require_standard_input()
    Player(lesson, options.out / f"{lesson.name}.progress.json", ask=typed, show=print,
           core=options.core).play(options.section)
    return 0


def export_one(options: argparse.Namespace) -> int:
    folder = lessons_folder()
    return _write(options.ipynb, notebook(read_lesson(folder / f"{find(folder, options.lesson)}.py")))


def _write(path: Path, text: str) -> int:
    """Write the file completely or not at all. Raises CheckpointError if that fails."""
    with replacing(path) as file:
        file.write(text.encode())
    print(path)
    return 0


def _opened(options: argparse.Namespace) -> LessonFile:
    """Return the lesson's cells. sys.argv is set as if the lesson had been started as a script."""
    folder = lessons_folder()
    require_folder(options.out)
    script = folder / f"{find(folder, options.lesson)}.py"
    sys.argv = [str(script), *(["--fast"] if options.fast else []), str(options.out)]
    return read_lesson(script)


def lessons_folder() -> Path:
    """Return the folder of lessons, beside the package or in the current folder. Raises ConfigError if
    neither has lessons.
    """
    folders = [Path(minipar.__file__).resolve().parent.parent / "lessons", Path("lessons").resolve()]
    for folder in folders:
        if (folder / "support" / "lesson.py").is_file():
            return folder
    raise ConfigError(f"there are no lessons in {folders[0]}, nor in {folders[1]}; run this where the "
                      "sources are checked out")


def find(folder: Path, wanted: str) -> str:
    """Return the name of the lesson with this number or name. Raises ConfigError if there is none."""
    for script in sorted(folder.glob("*.py")):
        number = script.stem.partition("_")[0]
        has_number = number.isdigit() and wanted.lstrip("0") == number.lstrip("0")
        if script.stem != "__init__" and (wanted == script.stem or has_number):
            return script.stem
    raise ConfigError(f"there is no lesson {wanted!r}; minipar lesson list shows them all")


def entries(folder: Path) -> list[Entry]:
    """Return the rows of the table in README.md, in order. Raises ConfigError if the file cannot be read or a
    row is not valid.
    """
    path = folder / "README.md"
    try:
        text = read_bytes(path, LONGEST_TABLE, ConfigError).decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; it holds the table of "
                          "lessons") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8 text") from error
    return [_entry(row, f"{path}, line {number}") for number, row in enumerate(text.splitlines(), 1)
            if row.startswith("| [")]


def _entry(row: str, where: str) -> Entry:
    """Parse one row. `where` names the file and the line for errors."""
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    lesson = LINK.fullmatch(cells[0])
    if len(cells) != COLUMNS or lesson is None:
        raise ConfigError(f"{where}: {shown(row)} is not a row of the table of lessons; it must have "
                          f"{COLUMNS} cells, the first of them [title](name.py)")
    title, name = map(brief, lesson.groups())
    core, ranks, seconds, fast = map(brief, cells[2:6])
    return Entry(name, title, core, ranks, seconds, fast)
