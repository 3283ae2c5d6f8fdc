"""Hostile submissions end within the limit, and get no light that they did not earn; a sample of them here.

All of them, under `grade` and under `check`: python -m tests.exercises.test_hostile
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from minipar.exercises.catalogue import find
from minipar.exercises.check import check
from minipar.exercises.grade import graded
from minipar.exercises.light import Verdict
from minipar.exercises.runner import Submission
from tests.exercises.hostile import HOSTILE

LIMIT = 1.0                                                         # seconds for one call
LONGEST = 30 * LIMIT + 15  # seconds for all of a submission, on a busy machine
SAMPLE = ("_exit", "reads the solution", "patches the counter", "shares memory", "forges a result")


def trespasses(name: str, folder: Path, brokered: bool) -> list[str]:
    """What a hostile submission has got that it should not have."""
    source, allowed = HOSTILE[name]
    exercise = find("ring_reduce_scatter")
    path = folder / exercise.file
    path.write_text(source)
    began = time.monotonic()
    found = (graded(path, "student", exercise, limit=LIMIT).verdict if brokered
             else check(exercise, Submission(path, source), mpi=False, limit=LIMIT).threads)
    seconds = time.monotonic() - began
    wrong = [f"{name}: took {seconds:.0f} s"] if seconds > LONGEST else []
    if brokered and (extra := lit(found) - allowed):
        wrong.append(f"{name}: has {sorted(extra)}")
    if not path.is_file() or path.read_text() != source:
        wrong.append(f"{name}: has changed its own file")
    return wrong + [f"{name}: {light} is off without a diagnosis" for light in found.lights
                    if light.state == "off" and not light.diagnosis]


def lit(verdict: Verdict) -> set[str]:
    return {light.name for light in verdict.lights if light.state == "on"}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_hostile_submission_earns_nothing(name: str, tmp_path: Path) -> None:
    assert trespasses(name, tmp_path, brokered=True) == []


def test_there_are_sixty() -> None:
    assert len(HOSTILE) >= 60


if __name__ == "__main__":
    import tempfile

    bad = 0
    for brokered in (True, False):
        for name in sys.argv[1:] or HOSTILE:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                found = trespasses(name, Path(folder), brokered)
                bad += len(found)
                print(
                    f"{'grade' if brokered else 'check'}  {name:26}  {time.monotonic() - began:5.1f} s  {found or ''}",
                    flush=True,
                )
    sys.exit(bool(bad))
