"""Grades the submissions of a class, several at the same time. Each submission runs in its own processes."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from pathlib import Path

from minipar.errors import ConfigError
from minipar.exercises.bug import answer_path
from minipar.exercises.catalogue import every, find
from minipar.exercises.exercise import Exercise
from minipar.exercises.grade import Grade, graded, nothing
from minipar.exercises.shown import shown


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


@dataclass(frozen=True)
class SubmittedFile:
    """One submission of an assignment. path: the student's file, which need not exist. folder: the student's
    folder. student: its name, or its path if two folders have the same name. hidden: the folders of the other
    students.
    """

    path: Path
    folder: Path
    student: str
    exercise: str
    seed: int
    limit: float | None
    hidden: Sequence[str]


def grades(assignment: Assignment) -> Iterator[Grade]:
    """Yield all grades in the order of folders and exercises. Raises ConfigError for a missing folder or an
    unknown name.

    If a process of the grader itself ends, for example because the machine has no memory left, only the
    submission that it graded loses its points.
    """
    work = list(_work(assignment))
    if not work:
        raise ConfigError("none of these folders has an exercise; a folder holds NAME.py or NAME/NAME.py "
                          "for an exercise NAME")
    if assignment.jobs == 1 or len(work) == 1:
        yield from map(_graded, work)
        return
    finished = 0
    while finished < len(work):
        with _pool(assignment.jobs) as pool:
            waiting = [pool.submit(_graded_in_pool, one) for one in work[finished:]]
            try:
                for future in waiting:
                    yield future.result()
                    finished += 1
            except BrokenProcessPool:  # it is unknown which submission ended it
                yield _in_own_process(work[finished])
                finished += 1


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of `jobs` processes. If the block ends early, for example after Ctrl-C, the processes end their
    submissions and then themselves.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_end_on_sigterm) as pool:
        try:
            yield pool
        except BaseException:
            for process in active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _end_on_sigterm() -> None:
    """Prepare a process of the pool. SIGTERM raises SystemExit, so that the process ends its submission.
    Ctrl-C at the terminal reaches all processes, and only the main process reports it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _graded_in_pool(one: SubmittedFile) -> Grade:
    """Grade one submission in a process of the pool. The process ends after SIGTERM; the pool itself would
    take SystemExit for the result.
    """
    try:
        return _graded(one)
    except SystemExit:
        pass
    os._exit(128 + signal.SIGTERM)  # not in the block, whose error keeps temporary folders alive


def _in_own_process(one: SubmittedFile) -> Grade:
    """Grade one submission in a process that grades nothing else."""
    with _pool(1) as pool:
        try:
            return pool.submit(_graded_in_pool, one).result()
        except BrokenProcessPool:
            return _without_points(one, "the process that graded this submission has ended",
                                   "does the result need too much memory?")


def _work(assignment: Assignment) -> Iterator[SubmittedFile]:
    """Yield the submissions. If `names` lists an exercise that a student's folder lacks, the submission has a
    file that does not exist.
    """
    exercises = [find(name) for name in assignment.names] or every()
    resolved = [folder.resolve() for folder in assignment.folders]
    names = Counter(folder.name for folder in assignment.folders)
    for folder, own in zip(assignment.folders, resolved, strict=True):
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}; name the folders of the submissions")
        student = shown(folder.name if folder.name and names[folder.name] == 1 else str(folder))
        hidden = [str(other) for other in resolved if not own.is_relative_to(other)]
        for exercise in exercises:
            path = submitted(exercise, folder)
            if path is not None or assignment.names:
                yield SubmittedFile(path or folder / exercise.file, folder, student, exercise.name,
                                    assignment.seed, assignment.limit, hidden)


def submitted(exercise: Exercise, folder: Path) -> Path | None:
    """Return the path of a student's file for an exercise, or None if the folder has none."""
    for path in (folder / exercise.file, folder / exercise.name / exercise.file,
                 folder / "exercises" / exercise.name / exercise.file):
        if path.is_file():
            return path
    return None


def _graded(one: SubmittedFile) -> Grade:
    """Grade one submission. An error of the grader itself becomes a grade, so that the others are graded."""
    for path in (one.path, answer_path(one.path)):
        if not path.resolve().is_relative_to(one.folder.resolve()):
            return _without_points(one, f"{path.name} is a link to a file outside the submission's folder",
                                   "hand in the file itself")
    try:
        return graded(one.path, one.student, find(one.exercise), one.seed, one.limit, one.hidden)
    except Exception as error:
        return _without_points(one, f"the grader failed: {type(error).__name__}: {error}",
                               "report this to the teacher: it may be a fault of the grader")


def _without_points(one: SubmittedFile, text: str, advice: str) -> Grade:
    exercise = find(one.exercise)
    return Grade(one.student, exercise.name, exercise.version, one.seed, nothing(text, advice))
