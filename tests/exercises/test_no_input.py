"""A submission that reads the standard input fails at once, with a line that says so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from minipar.exercises.catalogue import exercises_folder, find
from minipar.exercises.light import Light
from minipar.exercises.lights import verdict
from minipar.exercises.mpirun import under_mpirun
from minipar.exercises.runner import Submission, Threads
from minipar.exercises.tasks import graded_calls

EXERCISE = find("ring_reduce_scatter")
CALLS = graded_calls(EXERCISE, 1, [2])[:1]
READS = ("input()", "input('n = ')", "import sys; sys.stdin.read()", "import sys; sys.stdin.readline()",
         "import sys; next(sys.stdin)", "import sys; sys.stdin.readlines()", "import sys; sys.__stdin__.read(1)",
         "import sys; sys.stdin.buffer.read()", "import fileinput; next(fileinput.input('-'))")
EMPTY = ("int(open(0, closefd=False).readline())", "import os; int(os.read(0, 10))")


def reads(statement: str) -> Submission:
    source = f"def reduce_scatter(comm, x):\n    {statement}\n    return x\n"
    return Submission(EXERCISE.folder / "solution.py", source)


@pytest.fixture(scope="module")
def threads() -> Iterator[Threads]:
    with Threads(exercises_folder(), cpu=300) as process:
        yield process


def runs(threads: Threads, statement: str) -> Light:
    submission, began = reads(statement), time.monotonic()
    found = verdict(EXERCISE, submission.source, list(threads.results(EXERCISE, submission, CALLS, 30.0)))
    assert time.monotonic() - began < 25, "it waits for the time limit"
    return found.light("runs")


@pytest.mark.parametrize("statement", READS)
def test_a_read_is_refused_at_once(statement: str, threads: Threads) -> None:
    light = runs(threads, statement)
    assert light.state == "off" and "standard input" in light.diagnosis and "arguments" in light.advice, light


@pytest.mark.parametrize("statement", EMPTY)
def test_descriptor_0_is_an_empty_file_and_not_the_pipe_of_the_grader(statement: str, threads: Threads) -> None:
    assert "ValueError" in runs(threads, statement).diagnosis


@pytest.mark.mpi
def test_an_error_on_one_rank_ends_the_job_at_once() -> None:
    """The fence once refused the lock with which the ranks choose who reports the error. Then the other ranks
    waited for a minute.
    """
    source = "def reduce_scatter(comm, x):\n    if comm.rank == 1:\n        input()\n    comm.recv(x, 1)\n"
    submission, began = Submission(EXERCISE.folder / "solution.py", source), time.monotonic()
    ((result, *_),), said = under_mpirun([(EXERCISE, submission, CALLS)], 2)
    assert time.monotonic() - began < 40
    assert any("standard input" in error["text"] for _, error in result.errors())
    assert "standard input" in said and "fcntl" not in said
