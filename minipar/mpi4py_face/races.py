"""Finds out whether the output of a program depends on the order in which messages arrive. It runs the
program with several such orders.

If the outputs differ, the program has a race: its output depends on which message a receive from any source
gets. If the outputs of N orders are equal, the program may still have a race.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.mpi4py_face.on_threads import run_on_threads
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import UserProgram


@dataclass(frozen=True)
class Outcome:
    """The result of one run. order: a value of --any-source. lines: the lines that each rank wrote to stdout.
    failed: the text of the error; "" if there was none.
    """

    order: str
    lines: tuple[tuple[str, ...], ...]
    failed: str


def outcome(program: UserProgram, size: int, options: RunOptions, order: str) -> Outcome:
    """Run the program with one order. The program's output is not shown."""
    lines: list[list[str]] = [[] for _ in range(size)]
    asked = RunOptions(options.checked, options.synchronous, options.timeout, any_source=order, quiet=True)
    ended = run_on_threads(program, size, asked, lambda rank, said: lines[rank].extend(said))
    failed = ""
    if ended.failure is not None:
        rank, error = ended.failure
        failed, _ = last_words(first_diagnosis(error), max(rank, 0), size)
    return Outcome(order, tuple(map(tuple, lines)), failed)


def races(program: UserProgram, size: int, options: RunOptions, orders: int) -> tuple[bool, str]:
    """Returns (whether two runs differ, a text about the first difference). orders: the number of orders to
    try.

    The program runs twice with the first order. A line that differs between these two runs contains, for
    example, a time or a random number. Such lines are not compared.
    """
    first, again = (outcome(program, size, options, "first") for _ in range(2))
    unsteady = {(rank, number) for rank, number, _, _ in differing(first, again)}
    for seed in range(1, orders):
        other = outcome(program, size, options, f"seed={seed}")
        if text := difference(first, other, unsteady):
            return True, text
    left_out = (f"; {len(unsteady)} lines also differ between runs with the same order, so they are left out"
                if unsteady else "")
    failed = f"\nevery run failed: {first.failed}" if first.failed else ""
    return False, f"no difference in {orders} orders of arrival{left_out}{failed}"


def differing(one: Outcome, other: Outcome) -> Iterator[tuple[int, int, str, str]]:
    """Yields the lines that differ between two runs: the rank, the line number (from 0), and the text of each
    run.
    """
    for rank, (mine, yours) in enumerate(zip(one.lines, other.lines, strict=True)):
        for number in range(max(len(mine), len(yours))):
            said, told = (lines[number] if number < len(lines) else "(no such line)"
                          for lines in (mine, yours))
            if said != told:
                yield rank, number, said, told


def difference(one: Outcome, other: Outcome, unsteady: set[tuple[int, int]]) -> str:
    """Returns a text about the first line in which two runs differ; "" if there is none."""
    replay = f"replay with --any-source {one.order} and --any-source {other.order}"
    if bool(one.failed) != bool(other.failed):
        return (f"the order of arrival decides whether the program fails\n"
                f"  {one.order:>8}: {one.failed or 'no error'}\n"
                f"  {other.order:>8}: {other.failed or 'no error'}\n{replay}")
    for rank, number, mine, yours in differing(one, other):
        if (rank, number) not in unsteady:
            return (f"the order of arrival changes line {number + 1} of the output of rank {rank}\n"
                    f"  {one.order:>8}: {mine}\n  {other.order:>8}: {yours}\n{replay}")
    return ""
