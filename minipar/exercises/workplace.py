"""Makes the student's folder of an exercise, with the task and the file to edit. The student's own text is
never overwritten.
"""

from __future__ import annotations

from pathlib import Path

from minipar.checkpoint.atomic import replacing
from minipar.errors import ConfigError
from minipar.exercises import bug
from minipar.exercises.exercise import Exercise


def answer_path(exercise: Exercise, folder: Path) -> Path:
    return folder / exercise.name / exercise.file


def start(exercise: Exercise, folder: Path) -> tuple[Path, bool]:
    """Write the task and the stub into the folder. Return the path of the student's file, and True if the
    file is new.
    """
    path = answer_path(exercise, folder)
    write(path.parent / "task.md", exercise.text("task.md"))
    if exercise.bug is not None and not (answer := bug.answer_path(path)).exists():
        write(answer, bug.template(exercise.bug, path.name))
    if path.exists():
        return path, False
    write(path, exercise.text("stub.py"))
    return path, True


def reset(exercise: Exercise, folder: Path) -> Path:
    """Restore the stub, and keep the student's old file under another name. Return this name. Raises
    ConfigError if the exercise was not started.
    """
    path = answer_path(exercise, folder)
    if not path.exists():
        raise ConfigError(f"there is no {path}; minipar exercise start {exercise.name} makes it")
    number = 1
    while (backup := path.with_name(f"{path.name}.before{number}")).exists():
        number += 1
    path.rename(backup)
    write(path, exercise.text("stub.py"))
    return backup


def find_answer(exercise: Exercise, folder: Path) -> Path:
    """Return the student's file. Raises ConfigError if there is none."""
    path = answer_path(exercise, folder)
    if not path.exists():
        if not folder.exists() and Path(exercise.name, exercise.file).exists():
            raise ConfigError(f"there is no {path}, but there is {exercise.name}/{exercise.file}: go to the "
                              "folder above, or add --folder .")
        raise ConfigError(f"there is no {path}; begin with: minipar exercise start {exercise.name}")
    return path


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all. Raises ConfigError or CheckpointError if the file cannot be
    written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"no folder {path.parent} can be made: {error.strerror}; choose another --folder"
        ) from error
    with replacing(path) as file:
        file.write(text.encode())
