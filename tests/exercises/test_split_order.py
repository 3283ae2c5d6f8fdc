"""Ranks that split in different orders are named as such, before wrong values or a deadlock."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from minipar.exercises.broker import by_broker
from minipar.exercises.catalogue import exercises_folder, find
from minipar.exercises.light import Verdict
from minipar.exercises.lights import verdict
from minipar.exercises.runner import Submission, Threads
from minipar.exercises.split_order import differ_in_order
from minipar.exercises.tasks import CallResult, graded_calls

EXERCISE = find("split_a_communicator")
CALLS = graded_calls(EXERCISE, 1, [4])
ROW, COLUMN = "row = comm.Split(rank // columns, rank)", "column = comm.Split(rank % columns, rank)"
SUMS = {"row": "row_sum = row.allreduce(x)", "column": "column_sum = column.allreduce(x)"}


def program(some: str, order: tuple[str, ...], late: bool) -> str:
    """A right program, except that the ranks with `some` execute the statements of `order`."""
    lines = [ROW, COLUMN] if late else [ROW, SUMS["row"], COLUMN, SUMS["column"]]
    last = [SUMS["row"], SUMS["column"]] if late else []
    text = ["def sums(comm, x, columns):", "    rank = comm.Get_rank()", f"    if {some}:",
            *(f"        {line}" for line in order), "    else:", *(f"        {line}" for line in lines),
            *(f"    {line}" for line in last), "    return row_sum, column_sum"]
    return "\n".join(text) + "\n"


WRONG = {"groups first": ((COLUMN, ROW), True), "sums between": ((COLUMN, SUMS["column"], ROW, SUMS["row"]), False)}


@pytest.fixture(scope="module")
def threads() -> Iterator[Threads]:
    with Threads(exercises_folder(), cpu=300) as process:
        yield process


def judged(source: str, results: list[CallResult]) -> Verdict:
    return verdict(EXERCISE, source, results)


@pytest.mark.parametrize("some", ["rank == 0", "rank > 1", "rank % 2"])
@pytest.mark.parametrize("name", WRONG)
def test_another_order_on_some_ranks_is_named(some: str, name: str, threads: Threads) -> None:
    source = program(some, *WRONG[name])
    found = judged(source, list(threads.results(EXERCISE, Submission(EXERCISE.folder / "solution.py", source), CALLS, 5.0)))
    light = found.first_off
    assert light is not None and light.name == "runs" and "in different orders" in light.diagnosis, light
    assert "same order" in light.advice and "solution.py:" in light.diagnosis


def test_a_loop_over_the_orders_is_named(threads: Threads) -> None:
    source = ("def sums(comm, x, columns):\n    rank, found = comm.Get_rank(), {}\n"
              "    for name in ('row', 'column') if rank else ('column', 'row'):\n"
              "        if name == 'row':\n            found[name] = comm.Split(rank // columns, rank)\n"
              "        else:\n            found[name] = comm.Split(rank % columns, rank)\n"
              "    return found['row'].allreduce(x), found['column'].allreduce(x)\n")
    found = judged(source, list(threads.results(EXERCISE, Submission(EXERCISE.folder / "solution.py", source), CALLS, 5.0)))
    assert "in different orders" in found.lights[0].diagnosis


@pytest.mark.parametrize("order, late", [((ROW, COLUMN), True), ((ROW, SUMS["row"], COLUMN, SUMS["column"]), False)])
def test_the_same_order_in_two_branches_is_right(order: tuple[str, ...], late: bool, threads: Threads) -> None:
    source = program("rank % 2", order, late)
    assert judged(source, list(threads.results(EXERCISE, Submission(EXERCISE.folder / "solution.py", source), CALLS, 5.0))).passed


def test_the_grader_of_a_class_names_it_too() -> None:
    source = program("rank == 0", *WRONG["groups first"])
    submission = Submission(EXERCISE.folder / "solution.py", source)
    assert "in different orders" in judged(source, list(by_broker(EXERCISE, submission, CALLS[:1]))).lights[0].diagnosis


def test_lists_in_different_orders() -> None:
    chance = random.Random(1)
    for _ in range(200):
        one = [chance.choice("abc") for _ in range(chance.randrange(5))]
        other = chance.sample(one, len(one))
        assert differ_in_order(one, other) == (one != other)
        assert not differ_in_order(one, [*other, "d"])


def test_an_answer_without_split_is_no_answer(threads: Threads) -> None:
    source = ("def sums(comm, x, columns):\n    rank, all = comm.Get_rank(), comm.allgather(x)\n"
              "    return sum(all[rank // columns * columns:][:columns]), sum(all[rank % columns::columns])\n")
    light = judged(source, list(threads.results(EXERCISE, Submission(EXERCISE.folder / "solution.py", source), CALLS, 5.0))).first_off
    assert light is not None and light.name == "runs" and "use Split" in light.diagnosis
