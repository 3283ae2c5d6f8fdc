"""Lists the exercises. Chapters are sorted by number. The file ORDER of a chapter gives the order of its
exercises.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import minipar
from minipar.errors import ConfigError
from minipar.exercises.exercise import LARGEST, Exercise, load
from minipar.untrusted.text import read_text


def exercises_folder() -> Path:
    """Return the folder that holds the chapters: in the source tree, or in the installed package
    (`minipar.lessons`).
    """
    package = Path(minipar.__file__).resolve().parent
    sources = [package / "lessons" / "exercises", package.parent / "lessons" / "exercises"]
    for source in sources:
        if source.is_dir():
            return source
    raise ConfigError(f"there are no exercises in {sources[0]}; install minipar again")


def folders(root: Path | None = None) -> list[Path]:
    """Return the folders of all exercises, in the order of the course."""
    found: list[Path] = []
    for chapter in sorted((root or exercises_folder()).glob("[0-9]*_*/")):
        inside = {path.parent.name: path.parent for path in chapter.glob("*/exercise.py")}
        order = chapter / "ORDER"
        listed = read_text(order, LARGEST, ConfigError).split() if order.exists() else []
        found += [inside.pop(name) for name in listed if name in inside] + [
            inside[name] for name in sorted(inside)
        ]
    return found


def find(name: str) -> Exercise:
    """Return the exercise of this name. Raises ConfigError if there is none."""
    known = {folder.name: folder for folder in folders()}
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        meant = f"; did you mean {close[0]}?" if close else "; minipar exercise list shows them all"
        raise ConfigError(f"there is no exercise {name!r}{meant}")
    return load(known[name])


def every() -> list[Exercise]:
    """Return all exercises, in the order of the course."""
    return [load(folder) for folder in folders()]
