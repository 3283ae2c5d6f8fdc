"""Grades one submission with one process per rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from minipar.errors import MiniparError
from minipar.exercises.broker import by_broker
from minipar.exercises.bug_answer import of_answer
from minipar.exercises.check import read_submission
from minipar.exercises.cost import fastest
from minipar.exercises.diagnose import Diagnosis
from minipar.exercises.exercise import LIGHTS, Exercise
from minipar.exercises.light import Light, Verdict, off
from minipar.exercises.lights import verdict
from minipar.exercises.tasks import graded_calls


@dataclass(frozen=True)
class Grade:
    """The grade of one student in one exercise. student: the name of the student's folder. version: the
    version of the exercise. seed: the seed of the inputs. seconds: the virtual time on the largest number of
    ranks, or None if it is not measured.
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


def graded(path: Path, student: str, exercise: Exercise, seed: int = 0, limit: float | None = None,
           hidden: Sequence[str] = ()) -> Grade:
    """Grade one file. This function returns a grade even if the file cannot be read. It ends all processes
    that it started.

    hidden: folders whose files the submission must not read, such as those of other students.
    """
    try:
        submission = replace(read_submission(path), hidden=hidden)
        answer = of_answer(exercise, submission)
    except MiniparError as error:
        trouble = nothing(str(error).replace(str(path), path.name))  # hides the folders of the teacher
        return Grade(student, exercise.name, exercise.version, seed, trouble)
    if answer is not None:
        return Grade(student, exercise.name, exercise.version, seed, answer)
    results = list(by_broker(exercise, submission, graded_calls(exercise, seed), limit=limit))
    found = verdict(exercise, submission.source, results)
    return Grade(student, exercise.name, exercise.version, seed, found, fastest(exercise, found, results))


def nothing(text: str, advice: str = "hand in the file that `start` made") -> Verdict:
    """Return the verdict on a submission that cannot be read or graded."""
    return Verdict((off("runs", Diagnosis(text, advice), ""), *(Light(name, "dark") for name in LIGHTS[1:])))
