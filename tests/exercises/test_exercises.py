"""Every exercise, as `tests/exercises/matrix.py` says: form, stub, solution and wrong answers on threads; all
solutions in one job of mpirun per number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from minipar.exercises.catalogue import every, exercises_folder
from minipar.exercises.exercise import RANKS, Exercise
from minipar.exercises.runner import Threads
from tests.exercises.matrix import problems_on_threads, solutions_under_mpirun, wrong_answers_in_one_job


@pytest.fixture(scope="module")
def threads() -> Iterator[Threads]:
    with Threads(exercises_folder(), cpu=1000) as process:
        yield process


@pytest.mark.parametrize("exercise", every(), ids=lambda exercise: exercise.name)
def test_stub_solution_and_wrong_answers(exercise: Exercise, threads: Threads) -> None:
    assert problems_on_threads(exercise, threads) == []


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", RANKS)
def test_all_solutions_under_mpirun(ranks: int) -> None:
    assert solutions_under_mpirun(every(), ranks) == []


@pytest.mark.mpi
def test_wrong_answers_under_mpirun() -> None:
    assert wrong_answers_in_one_job(every(), 3) == []
