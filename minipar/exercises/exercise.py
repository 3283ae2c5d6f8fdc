"""Defines an exercise: a folder `lessons/exercises/CHAPTER/NAME/` with an object `Exercise` in exercise.py.

    task.md         the task, at most one page; the first line is the title
    stub.py         the student's initial file
    solution.py     a good solution
    wrong/*.py      common wrong answers; each names the light (check) on which it fails, and the diagnosis
    hints.md        three hints, below the headings "## Nudge", "## Formula" and "## Outline"
    explanation.md  a page that is shown after the exercise is passed
    driver.py       optional: calls the student's code, see `minipar.exercises.calls`
    exercise.py     inputs, right results (reference) and allowed cost (par); students do not get it

lessons/exercises/README.md shows an author how to write one.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minipar.errors import ConfigError
from minipar.exercises.bug import BugToFind
from minipar.untrusted.files import MIB
from minipar.untrusted.text import read_text

LIGHTS = ("runs", "values", "gradients", "cost", "no deadlock")
KINDS = ("write", "predict", "find", "par", "design", "prove")
HINTS = ("Nudge", "Formula", "Outline")
RANKS = (1, 2, 3, 4, 5)
LARGEST = MIB                                                       # bytes of a file of an exercise

RankArguments = tuple[Any, ...]                                     # arguments of one rank, after comm


@dataclass(frozen=True)
class Par:
    """The largest allowed cost, which is the cost of a good solution. A cost of None is not graded.

    * messages, bytes: what each rank may send. One number for all ranks, or one number per rank.
    * seconds: the virtual time until the last rank has finished, on the simulated network `wrapping.NETWORK`.
    * memory: the largest number of bytes that a call on one rank has allocated at one time. The student's
      process measures it, so this cost is less safe against cheating than the others.
    * at_least: the smallest number of bytes that each rank must send in any right solution. A rank that sends
      fewer bytes has bypassed its communicator, or has left out a message of the task.
    * peers: for each rank, a list of the only ranks to which it may send. None allows all ranks.
    """

    messages: int | Sequence[int] | None = None
    bytes: int | Sequence[int] | None = None
    seconds: Any = None
    memory: int | None = None
    at_least: int | Sequence[int] = 0
    peers: Sequence[Sequence[int]] | None = None


@dataclass
class Exercise:
    """One exercise. Its author sets all fields except `folder`. `load` sets `folder`.

    * kind is one of KINDS.
    * function is the name of the student's function. Every rank calls function(comm, *arguments).
    * cases maps the name of a case to the size that `inputs` receives. The first case is a plain one.
    * inputs(ranks, rng, size) returns the arguments of every rank, a list of tuples.
    * reference(ranks, arguments) returns the right result of every rank, a list. Arrays must agree in shape,
      dtype and value. In a dict, the light "gradients" checks the names that begin with "grad". The light
      "values" checks the other names.
    * judge(ranks, arguments, results) is used if there is no reference. It returns the error in one line, or
      "".
    * par(ranks, arguments) returns the largest allowed cost.
    * mistakes maps a diagnosis to a function like `reference` that makes this mistake. If the student's
      results equal those of the function, the diagnosis is shown. Its second line is the next step.
    * next_steps maps the name of a part of the result ("" for a single result) to the next step that is shown
      if this part is wrong, and no pattern explains it.
    """

    kind: str
    minutes: int
    goal: str
    lesson: str
    inputs: Callable[[int, np.random.Generator, Any], list[RankArguments]]
    function: str = ""
    prerequisites: Sequence[str] = ()
    cases: Mapping[str, Any] = field(default_factory=lambda: {"plain": 12})
    reference: Callable[[int, list[RankArguments]], list[Any]] | None = None
    judge: Callable[[int, list[RankArguments], list[Any]], str] | None = None
    par: Callable[[int, list[RankArguments]], Par] | None = None
    mistakes: Mapping[str, Callable[[int, list[RankArguments]], list[Any]]] = field(default_factory=dict)
    next_steps: Mapping[str, str] = field(default_factory=dict)
    comm: str = "minipar"  # "mpi4py": a comm with mpi4py's methods; "": no comm
    program: bool = False  # every rank runs the whole file, see `calls`
    bug: BugToFind | None = None  # only for kind "find": the line and the reason
    ranks: Sequence[int] = RANKS
    forbids: Sequence[str] = ()  # names of modules and functions
    requires: Sequence[str] = ()  # names of functions that the file must use
    tolerance: float = 1e-12
    seconds: float = 5.0  # time limit of one call on all ranks
    version: int = 1  # a larger number makes older passes invalid
    library: str = ""  # where minipar itself implements this
    changes_inputs: bool = False  # the function may write to its arguments
    same_bits: bool = False  # all ranks must return the same bits
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"an exercise is of kind {', '.join(KINDS)}, not {self.kind!r}")
        if (self.reference is None) == (self.judge is None):
            raise ConfigError("an exercise has either a reference or a judge")
        if (self.kind == "find") != (self.bug is not None):
            raise ConfigError("an exercise of kind find has a bug, and no other kind has one")
        if not self.comm:
            self.ranks = (1,)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def chapter(self) -> str:
        return self.folder.parent.name

    @property
    def allows_collectives(self) -> bool:
        return "minipar.comm.collectives" not in self.forbids

    @property
    def file(self) -> str:
        """Return the name of the student's file."""
        return f"{self.name}.py"

    @cached_property
    def parameters(self) -> list[str]:
        """The names of a rank's arguments, from the driver or else from the stub. [] if they are unknown."""
        source, function = self.driver(), "drive"
        if not source and (self.folder / "stub.py").exists():
            source, function = self.text("stub.py"), self.function
        found = re.search(rf"^def {re.escape(function)}\(([^)]*)\)", source, re.M)
        names = [name.split("=")[0].split(":")[0].strip() for name in found[1].split(",")] if found else []
        return [name for name in names if name not in ("submission", "comm")]

    @cached_property
    def title(self) -> str:
        return self.text("task.md").splitlines()[0].lstrip("# ").strip()

    @cached_property
    def hints(self) -> list[str]:
        return [text for _, text in sections(self.text("hints.md"))]

    @cached_property
    def wrong(self) -> list[WrongAnswer]:
        return [wrong_answer(path) for path in sorted((self.folder / "wrong").glob("*.py"))]

    def text(self, name: str) -> str:
        """Read a file of the folder. Raises ConfigError if it is missing or cannot be read."""
        return read_text(self.folder / name, LARGEST, ConfigError)

    def driver(self) -> str:
        path = self.folder / "driver.py"
        return self.text(path.name) if path.exists() else ""


@dataclass(frozen=True)
class WrongAnswer:
    """A common wrong answer. light: the light that must be off. diagnosis: a part of the expected diagnosis.
    who: a sentence about the people who make this mistake, and their reason.
    """

    path: Path
    light: str
    diagnosis: str
    who: str


def wrong_answer(path: Path) -> WrongAnswer:
    """Read a wrong answer. Its docstring has a sentence, a line "fails: LIGHT" and a line "says: PART OF THE
    DIAGNOSIS".
    """
    text = read_text(path, LARGEST, ConfigError)
    found = re.match(r'"""(.*?)\n+fails: ([a-z ]+)\nsays: (.+?)\n"""', text, re.S)
    if not found or found[2] not in LIGHTS:
        raise ConfigError(
            f"{path.name}: begin with a docstring of a sentence, a line 'fails: LIGHT' with one of "
            f"{', '.join(LIGHTS)}, and a line 'says: PART OF THE DIAGNOSIS'"
        )
    return WrongAnswer(path, found[2], found[3].strip(), " ".join(found[1].split()))


def sections(text: str) -> list[tuple[str, str]]:
    """Return (heading, text) for each "## " section of a page."""
    parts = re.split(r"^## +(.*)$", text, flags=re.M)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [(title.strip(), body.strip("\n").rstrip()) for title, body in pairs]


def load(folder: Path) -> Exercise:
    """Load the exercise of a folder. Raises ConfigError if exercise.py does not define one."""
    spec = importlib.util.spec_from_file_location(f"exercise_{folder.name}", folder / "exercise.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "EXERCISE", None)
    if not isinstance(found, Exercise):
        raise ConfigError(f"{folder / 'exercise.py'} must end with EXERCISE = Exercise(...)")
    found.folder = folder
    return found
