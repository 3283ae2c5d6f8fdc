"""What the lessons share: ranks to run on, and a place for pictures.

A lesson is a script of cells, and one file runs in every way:

    python lessons/13_data_parallel.py [--fast] [FOLDER]        its ranks are threads of this process
    mpirun -n 4 python lessons/13_data_parallel.py [FOLDER]     its ranks are the processes that mpirun started
    minipar lesson run 13 [--fast] [--out FOLDER]               the first of these, found by its number
    cell by cell in VS Code or Jupyter                          `# %%` begins a cell; the ranks are threads

Outside `lesson.run` all ranks execute the same statements on the same values, so a cell reads like a program
of one process. Pictures go to FOLDER, by default runs/lessons. With --fast a lesson trains less; its claims
stay the same.
"""

from __future__ import annotations

import atexit
import io
import os
import pickle
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import minipar as mp
from minipar.checkpoint.atomic import replacing
from minipar.classroom.predictions import judged
from minipar.cli.pictures import attempt
from minipar.comm.collectives import all_gather
from minipar.comm.job import ranks_started
from minipar.console import Console, guard_program
from minipar.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = Path("runs/lessons")                                     # as for `minipar lesson run`


class Lesson:
    """size: how many ranks there are; rank: which of them this process is (0 where ranks are threads); fast:
    train less.
    """

    def __init__(self, name: str, ranks: int = 4):
        """name: of the lesson's file, without .py. ranks: how many threads, where mpirun has not started
        ranks; 1 for a lesson of one process, which mpirun may not start several times over.
        """
        self.name, self.mpi = name, ranks_started(os.environ) is not None
        if _is_program(name) and not self.mpi and not isinstance(sys.stdout, Console):
            guard_program(f"lesson {name}")
        self._job = mp.job()  # open until the program ends, since opening takes a moment
        self._world = self._job.__enter__()
        atexit.register(self._job.__exit__, None, None, None)
        self.ask: Callable[[str, Sequence[str]], str] = self._show_question
        self.prediction = ""
        self.rank, self.size = (self._world.rank, self._world.size) if self.mpi else (0, ranks)
        try:
            self.folder, self.fast = _command_line(name)
            if not __debug__:
                raise ConfigError(
                    f"lesson {name} checks by assert, which python -O leaves out; start it without -O"
                )
            if self.size > ranks == 1:
                raise ConfigError(f"lesson {name} runs in one process: start it without mpirun")
            _make(self.folder)
        except ConfigError:
            self._job.__exit__(*sys.exc_info())  # ends the program, on all ranks, with one line
        if self.rank > 0:
            sys.excepthook = lambda *error: None  # outside `run` all ranks fail alike: rank 0 says it

    @property
    def sizes(self) -> list[int]:
        """Numbers of ranks to try: 1, 2, 4, ... and as many as there are."""
        return sorted({1 << power for power in range(self.size.bit_length())} | {self.size})

    def run(self, function: Callable[..., Any], *args: Any, ranks: int | None = None) -> list[Any]:
        """`function(comm, *args)` on the first `ranks` ranks (default: all); what it returned, by rank, on
        every rank.
        """
        ranks = ranks or self.size
        if not self.mpi:
            return mp.run(ranks, function, *args)
        try:
            group = self._world.split(0 if self.rank < ranks else None, label="ranks of this cell")
            return _everyones(self._world, function(group, *args) if group else None)[:ranks]
        except BaseException:
            self._job.__exit__(*sys.exc_info())                     # ends the program, on all ranks
            raise

    def predict(self, question: str, choices: Sequence[str] = ()) -> None:
        """Ask for a prediction, which `reveal` compares with the answer. The lesson player waits for it; a plain run
        only shows the question.
        """
        self.prediction = self.ask(question, choices)

    def reveal(self, answer: object, unit: str = "") -> None:
        """Show the answer to the last `predict`: a number (in `unit`s) or words, beside what was predicted."""
        shown = f"{answer:.6g}" if isinstance(answer, float) else str(answer)
        verdict = judged(self.prediction, answer, unit)
        self.wrapped(f"answer: {shown}{' ' * bool(unit)}{unit}{f' ({verdict})' if verdict else ''}")

    def _show_question(self, question: str, choices: Sequence[str] = ()) -> str:
        """What `ask` is outside the lesson player."""
        self.say(*textwrap.wrap(f"Predict: {question}", 78), *(f"  - {choice}" for choice in choices))
        return ""

    def say(self, *lines: object) -> None:
        """Print, once for all ranks."""
        if self.rank == 0:
            print(*lines, sep="\n", flush=True)

    def wrapped(self, text: str) -> None:
        """Print a long line, such as an error's, in lines of at most 78 columns."""
        self.say(textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))

    def table(self, *rows: tuple[object, ...]) -> None:
        """Print rows as columns, the first row being their titles."""
        texts = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                 for row in texts)
        self.say(*(f"  {line.rstrip()}" for line in lines), "")

    def picture(self, figure: Figure, name: str = "") -> None:
        """Save the figure as FOLDER/<lesson><name>.png, once for all ranks. A notebook shows it below the cell, whichever
        backend matplotlib has and without `%matplotlib inline`.

        The claims of a lesson do not depend on its pictures: where one fails, stderr says so, and the lesson goes on.
        """
        path = self.folder / f"{self.name}{name}.png"

        def save() -> None:
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png", dpi=110)
            _show(drawn.getvalue())
            with replacing(path) as file:
                file.write(drawn.getvalue())
            self.say(f"picture: {path}", "")

        if self.rank == 0:
            attempt(path.name, save)


def _show(png: bytes) -> None:
    """Show a picture where the lesson runs in a notebook; elsewhere nothing happens."""
    shell = sys.modules.get("IPython")
    if shell and shell.get_ipython():
        shell.display.display(shell.display.Image(png))


def refusal(call: Callable[[], object]) -> str:
    """What stops the call, as in "ValueError: no such axis"; "" where nothing does."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _is_program(name: str) -> bool:
    """Whether the lesson is the program that runs, not a notebook or an editor."""
    return Path(sys.argv[0]).stem == name


def _command_line(name: str) -> tuple[Path, bool]:
    """The folder for pictures, and whether --fast is given; the defaults where the program is not the lesson
    itself, as in a notebook. Raises ConfigError for anything else on the line.
    """
    words = sys.argv[1:] if _is_program(name) else []
    folders = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-") and word != "--fast"] + folders[1:]
    if unknown:
        raise ConfigError(f"lesson {name} does not know {unknown[0]!r}; it takes [--fast] [FOLDER for the "
                          "pictures]")
    return Path(folders[0]) if folders else PICTURES, "--fast" in words


def _make(folder: Path) -> None:
    """Make the folder for pictures: before a lesson computes for a minute, not after. Raises ConfigError
    where it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"no folder for pictures can be made at {folder}: {error.strerror}; name another "
                          "one") from error


def _everyones(comm: mp.Communicator, result: Any) -> list[Any]:
    """Each rank's result, on every rank."""
    mine = np.frombuffer(pickle.dumps(result), np.uint8)
    lengths = all_gather(comm, np.array([mine.size]), label="results").tolist()
    all_of_them = all_gather(comm, mine, counts=lengths, label="results")
    return [pickle.loads(part.tobytes()) for part in np.split(all_of_them, np.cumsum(lengths)[:-1])]
