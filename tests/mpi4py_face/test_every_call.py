"""Every call that is offered gives what mpi4py gives under mpirun, on threads and on processes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from minipar.mpi4py_face.run_program import run_program
from tests.mpi4py_face.running import as_plain_mpi4py, as_processes

PROGRAM = Path(__file__).parent / "programs" / "every_call.py"
RELATIVE = 1e-6                                                     # float32 sums in another order


def results(lines: list[str]) -> list[dict[str, Any]]:
    """By rank: case -> what it gave."""
    return list(json.loads(next(line for line in lines if line.startswith("["))))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return isinstance(other, (int, float)) and math.isclose(one, other, rel_tol=RELATIVE)
    return one == other


def differing(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[tuple[int, str, Any, Any]]:
    assert len(one) == len(other)
    return [
        (rank, name, mine[name], yours.get(name))
        for rank, (mine, yours) in enumerate(zip(one, other, strict=True))
        for name in mine
        if not same(mine[name], yours.get(name))
    ]


def on_threads(size: int) -> list[dict[str, Any]]:
    return results(run_program(size, PROGRAM, quiet=True).output())


def plainly(size: int) -> list[dict[str, Any]]:
    job = as_plain_mpi4py(size, PROGRAM)
    assert job.returncode == 0, job.stderr
    return results(job.stdout.splitlines())


@pytest.mark.mpi
def test_as_mpi4py() -> None:
    expected = plainly(3)
    job = as_processes(3, PROGRAM)
    assert job.returncode == 0, job.stderr
    assert len(expected) == 3 and len(expected[0]) > 50
    assert differing(expected, on_threads(3)) == []
    assert differing(expected, results(job.stdout.splitlines())) == []


@pytest.mark.parametrize("size", [1, 5])
def test_the_cases_run_on_other_sizes(size: int) -> None:
    """`python -m tests.mpi4py_face.test_every_call 1 2 5` compares them too."""
    assert len(on_threads(size)) == size


def test_the_comparison_sees_a_difference() -> None:
    one = on_threads(1)
    wrong = [one[0] | {"world who": [0, 0, 1, 1, 2]}]
    assert [name for _, name, *_ in differing(one, wrong)] == ["world who"]


if __name__ == "__main__":
    import sys

    for ranks in map(int, sys.argv[1:]):
        job = as_processes(ranks, PROGRAM)
        print(ranks, differing(plainly(ranks), on_threads(ranks)),
              differing(plainly(ranks), results(job.stdout.splitlines())), job.stderr[-300:])
