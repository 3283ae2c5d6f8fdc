"""Grades the submissions of a class, several at the same time. Each submission runs in its own processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from minipar.errors import ConfigError
from minipar.exercises.catalogue import every, find
from minipar.exercises.exercise import Exercise
from minipar.exercises.grade import Grade, graded


@dataclass(frozen=True)
class Assignment:
    """The submissions to grade. folders: one folder per student. names: the exercises. If it is empty, all
    exercises that a folder holds are graded. limit: the time limit of one call, in seconds. jobs: the number
    of submissions that are graded at the same time.
    """

    folders: Sequence[Path]
    names: Sequence[str] = ()
    seed: int = 0
    limit: float | None = None
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)


def grades(assignment: Assignment) -> Iterator[Grade]:
    """Yield all grades in the order of folders and exercises. Raises ConfigError for a missing folder or an
    unknown name.
    """
    work = list(_work(assignment))
    if not work:
        raise ConfigError("none of these folders has an exercise; a folder holds NAME.py or NAME/NAME.py "
                          "for an exercise NAME")
    if assignment.jobs == 1 or len(work) == 1:
        yield from (_graded(*one) for one in work)
        return
    with ProcessPoolExecutor(assignment.jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_graded, *zip(*work, strict=True))


def _work(assignment: Assignment) -> Iterator[tuple[Path, str, str, int, float | None]]:
    """Yield (file, student, exercise, seed, limit) for each submission. If `names` lists an exercise that a
    student's folder lacks, the submission has a file that does not exist.
    """
    exercises = [find(name) for name in assignment.names] or every()
    for folder in assignment.folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; name the folders of the submissions")
        for exercise in exercises:
            path = submitted(exercise, folder)
            if path is not None or assignment.names:
                missing = path or folder / exercise.file
                yield missing, folder.name or str(folder), exercise.name, assignment.seed, assignment.limit


def submitted(exercise: Exercise, folder: Path) -> Path | None:
    """Return the path of a student's file for an exercise, or None if the folder has none."""
    for path in (folder / exercise.file, folder / exercise.name / exercise.file,
                 folder / "exercises" / exercise.name / exercise.file):
        if path.is_file():
            return path
    return None


def _graded(path: Path, student: str, name: str, seed: int, limit: float | None) -> Grade:
    return graded(path, student, find(name), seed, limit)
