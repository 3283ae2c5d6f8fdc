"""Hostile submissions end within the limit, and get no light that they did not earn; a sample of them here.

All of them, under `grade` and under `check`: python -m tests.exercises.test_hostile
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from minipar.errors import ConfigError
from minipar.exercises.catalogue import find
from minipar.exercises.check import check, read_submission
from minipar.exercises.exercise import Exercise
from minipar.exercises.grade import graded, nothing
from minipar.exercises.light import Verdict
from tests.exercises.hostile import HOSTILE
from tests.exercises.hostile_more import MORE

LIMIT = 1.0                                                         # seconds for one call
LONGEST = 30 * LIMIT + 15  # seconds for all of a submission, on a busy machine
EVERY = {**HOSTILE, **MORE}
SAMPLE = ("_exit", "reads the solution", "patches the counter", "shares memory", "forges a result",
          "talks through labels", "remembers results")


def trespasses(name: str, folder: Path, brokered: bool) -> list[str]:
    """What a hostile submission has got that it should not have."""
    source, allowed = EVERY[name]
    exercise = find("ring_reduce_scatter")
    path = folder / exercise.file
    written = source if isinstance(source, bytes) else source.encode()
    path.write_bytes(written)
    began = time.monotonic()
    found = (graded(path, "student", exercise, limit=LIMIT).verdict if brokered
             else checked(exercise, path))
    seconds = time.monotonic() - began
    wrong = [f"{name}: took {seconds:.0f} s"] if seconds > LONGEST else []
    if brokered and (extra := lit(found) - allowed):
        wrong.append(f"{name}: has {sorted(extra)}")
    if not path.is_file() or path.read_bytes() != written:
        wrong.append(f"{name}: has changed its own file")
    if any(
        not text.isprintable()
        for light in found.lights
        for text in (light.diagnosis, light.advice, light.where)
    ):
        wrong.append(f"{name}: has an unprintable diagnosis")
    return wrong + [f"{name}: {light} is off without a diagnosis" for light in found.lights
                    if light.state == "off" and not light.diagnosis]


def checked(exercise: Exercise, path: Path) -> Verdict:
    """The verdict on threads. A file that cannot be read is an error of one line."""
    try:
        submission = read_submission(path)
    except ConfigError as error:
        return nothing(str(error))
    return check(exercise, submission, mpi=False, limit=LIMIT).threads


def lit(verdict: Verdict) -> set[str]:
    return {light.name for light in verdict.lights if light.state == "on"}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_hostile_submission_earns_nothing(name: str, tmp_path: Path) -> None:
    assert trespasses(name, tmp_path, brokered=True) == []


@pytest.mark.parametrize("before, newline", [("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r")])
def test_what_an_editor_adds_is_no_fault(before: str, newline: str, tmp_path: Path) -> None:
    """A byte order mark, and other ends of lines."""
    path = tmp_path / "answer.py"
    path.write_bytes((before + "x = 1\ny = 2\n").replace("\n", newline).encode())
    assert read_submission(path).source == "x = 1\ny = 2\n"


def test_there_are_sixty() -> None:
    assert len(HOSTILE) >= 60 and len(MORE) >= 60 and not HOSTILE.keys() & MORE.keys()


def main(names: Sequence[str]) -> int:
    """Try the named submissions, or all of them, under `grade` and `check`. Return the number of findings."""
    bad = 0
    for name, brokered in product(names or EVERY, (True, False)):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = trespasses(name, Path(folder), brokered)
            except Exception as error:
                found = [f"{name}: {type(error).__name__}: {error}"[:200]]
        bad += len(found)
        command = "grade" if brokered else "check"
        print(f"{command}  {name:40}  {time.monotonic() - began:5.1f} s  {found or ''}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
