"""Writes a hand-out for students: tasks, stubs and hints, but no solutions, wrong answers or references.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minipar.errors import ConfigError
from minipar.exercises import bug
from minipar.exercises.exercise import Exercise
from minipar.exercises.workplace import write


def pack(exercises: Sequence[Exercise], folder: Path) -> list[Path]:
    """Write NAME/task.md, NAME/NAME.py and NAME/hints.md for each exercise. A find-the-bug exercise also gets
    its answer file. Returns the paths of the files. Raises ConfigError if a file exists already.
    """
    files = {folder / exercise.name / name: exercise.text(source) for exercise in exercises
             for name, source in (("task.md", "task.md"), (exercise.file, "stub.py"),
                                  ("hints.md", "hints.md"))}
    for exercise in exercises:
        if exercise.bug is not None:
            path = bug.answer_path(folder / exercise.name / exercise.file)
            files[path] = bug.template(exercise.bug, exercise.file)
    for path in files:
        if path.exists():
            raise ConfigError(f"{path} is there already; name another folder")
    for path, text in files.items():
        write(path, text)
    return list(files)
