"""Running lessons: whole, as readers do; changed, or a few cells of them, in a process that has imported all
before.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.forks import Ended, forked
from tests.ranks import ROOT

# Collectives has no number of its own: it belongs before lesson 13.
LESSONS = sorted((path.stem for path in (ROOT / "lessons").glob("*.py") if path.stem != "__init__"),
                 key=lambda name: "12_last" if name == "collectives" else name)


def script_of(lesson: str) -> Path:
    return ROOT / "lessons" / f"{lesson}.py"


def source_of(lesson: str) -> str:
    return script_of(lesson).read_text(encoding="utf-8")


def alone(lesson: str) -> bool:
    """Whether the lesson runs in one process."""
    return re.search(r"^lesson = Lesson\(\"[^\"]*\", ranks=1\)", source_of(lesson), re.MULTILINE) is not None


def command(script: Path, folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-W", "error", str(script), *options, str(folder)]


def on_threads(script: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(script, folder, *options), capture_output=True, text=True, check=False,
                          timeout=120)


def changed(lesson: str, old: str, new: str, folder: Path) -> Path:
    """A copy of the lesson with one thing changed."""
    source = source_of(lesson)
    assert source.count(old) == 1, f"lesson {lesson} should contain {old!r} once"
    copy = folder / f"{lesson}.py"
    copy.write_text(source.replace(old, new), encoding="utf-8")
    return copy


def solved(lesson: str, needed: tuple[str, ...], solution: str, folder: Path) -> Ended:
    """Run an exercise's solution, --fast, after the lesson's first code cell and the cells with one of the
    `needed` texts.
    """
    first, *cells = source_of(lesson).split("# %%\n")[1:]
    script = folder / f"{lesson}.py"
    script.write_text("".join([first, *(cell for cell in cells if any(text in cell for text in needed)),
                               solution]),
                      encoding="utf-8")
    return forked(script, folder, "--fast")
