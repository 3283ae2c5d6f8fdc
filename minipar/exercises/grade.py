"""Grades a class: each submission in its own processes, several at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

from minipar.errors import ConfigError, MiniparError
from minipar.exercises.broker import by_broker
from minipar.exercises.catalogue import every, find
from minipar.exercises.check import read_submission
from minipar.exercises.cost import virtual_seconds
from minipar.exercises.exercise import LIGHTS, Exercise
from minipar.exercises.light import Light, Verdict
from minipar.exercises.lights import verdict
from minipar.exercises.tasks import CallResult, graded_calls

LONGEST_SOURCE = 1 << 20                                            # bytes of a submission


@dataclass(frozen=True)
class Grade:
    """The result of one student's exercise. student: the name of the folder. version: of the exercise.
    seconds: the virtual time on the most ranks, where the exercise has a par for it.
    """

    student: str
    exercise: str
    version: int
    seed: int
    verdict: Verdict
    seconds: float | None = None

    @property
    def score(self) -> Fraction:
        return self.verdict.score


@dataclass(frozen=True)
class Assignment:
    """What is graded, and how. names: of exercises; none: all that a folder has. limit: seconds for one
    call.
    """

    folders: Sequence[Path]
    names: Sequence[str] = ()
    seed: int = 0
    limit: float | None = None
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)


def grades(assignment: Assignment) -> Iterator[Grade]:
    """All grades, in the order of folders and exercises. Raises ConfigError for a missing folder or an
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
    """(file, student, exercise, seed, limit) of each submission. A requested exercise that is missing counts
    as a submission without a file.
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
    """Where a folder has the exercise."""
    for path in (folder / exercise.file, folder / exercise.name / exercise.file,
                 folder / "exercises" / exercise.name / exercise.file):
        if path.is_file():
            return path
    return None


def _graded(path: Path, student: str, name: str, seed: int, limit: float | None) -> Grade:
    return graded(path, student, find(name), seed, limit)


def graded(path: Path, student: str, exercise: Exercise, seed: int = 0, limit: float | None = None) -> Grade:
    """Grade one file. It returns a grade in every case, and ends the process."""
    try:
        if path.stat().st_size > LONGEST_SOURCE:
            raise ConfigError(f"{path.name} has more than {LONGEST_SOURCE:,} bytes")
        submission = read_submission(path)
    except (OSError, MiniparError) as error:
        trouble = nothing(str(getattr(error, "strerror", None) or error))
        return Grade(student, exercise.name, exercise.version, seed, trouble)
    results = list(by_broker(exercise, submission, graded_calls(exercise, seed), limit=limit))
    found = verdict(exercise, submission.source, results)
    return Grade(student, exercise.name, exercise.version, seed, found, fastest(found, results))


def nothing(text: str) -> Verdict:
    """The verdict on a file that cannot be read."""
    return Verdict((Light("runs", "off", f"cannot be read: {text}", "hand in the file that `start` made"),
                    *(Light(name, "dark") for name in LIGHTS[1:])))


def fastest(found: Verdict, results: Sequence[CallResult]) -> float | None:
    """The virtual time on the most ranks, the sum over the cases; None where it is not measured or not
    passed.
    """
    if not found.passed:
        return None
    most = max(result.call.ranks for result in results)
    times = [virtual_seconds(result) for result in results if result.call.ranks == most and result.call.clock]
    known = [time for time in times if time is not None]
    return float(sum(known)) if known else None
