"""The grid: who is on an axis with whom, for every factorisation, and what is said where the ranks do not
fit.
"""

import itertools
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives import all_gather
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.errors import LayoutError
from minipar.parallel import Grid
from tests.ranks import ranks

FACTORS: dict[int, list[Any]] = {
    n: [f for f in itertools.product(range(1, n + 1), repeat=4) if f[0] * f[1] * f[2] * f[3] == n]
    for n in (1, 4, 6, 8)
}


def check(world: Communicator, factors: tuple[int, int, int, int]) -> None:
    dp, pp, cp, tp = factors
    grid = Grid(world, Layout(dp=dp, pp=pp, cp=cp, tp=tp))
    at = grid.at
    # tp fastest, then cp, dp, pp
    assert world.rank == ((at["pp"] * dp + at["dp"]) * cp + at["cp"]) * tp + at["tp"]
    stride = {"tp": 1, "cp": tp, "dp": cp * tp, "pp": dp * cp * tp}
    for axis, size in {"dp": dp, "pp": pp, "cp": cp, "tp": tp}.items():
        group = getattr(grid, axis)
        assert (group.size, group.rank, group.name) == (size, at[axis], axis)
        first = world.rank - at[axis] * stride[axis]
        assert list(group.members) == [first + number * stride[axis] for number in range(size)]


@pytest.mark.parametrize("factors", [f for n in (1, 4, 6) for f in FACTORS[n]], ids=str)
def test_every_factorisation(factors: tuple[int, int, int, int]) -> None:
    dp, pp, cp, tp = factors
    run(dp * pp * cp * tp, check, factors)


@ranks(8, mpi=[])
def test_eight_ranks(comm: Communicator) -> None:
    for factors in FACTORS[8]:
        check(comm, factors)


@ranks(8, engines=["mpi"])
def test_three_axes_of_two_under_mpirun(comm: Communicator) -> None:
    for factors in FACTORS[8]:
        if sorted(factors) == [1, 2, 2, 2]:
            check(comm, factors)


@ranks(4)
def test_axes_carry_messages(comm: Communicator) -> None:
    grid = Grid(comm, Layout(dp=2, tp=2))
    row, column = divmod(comm.rank, 2)
    assert all_gather(grid.tp, np.array([comm.rank]), label="who").tolist() == [2 * row, 2 * row + 1]
    assert all_gather(grid.dp, np.array([comm.rank]), label="who").tolist() == [column, column + 2]


@pytest.mark.parametrize("size, layout, words", [
    (6, Layout(dp=2, pp=2, tp=2),
     "the world has 6 rank(s), but the layout pp=2 * dp=2 * tp=2 needs 8: run mpirun -n 8"),
    (6, Layout(dp=2, tp=2), "needs 4: run mpirun -n 4"),
    (4, Layout(tp=2), "the layout tp=2 needs 2: run mpirun -n 2, or choose --dp 2"),
    (2, Layout(), "the layout dp=1 needs 1: run mpirun -n 1, or choose --dp 2"),
], ids=str)
def test_ranks_that_do_not_fit(size: int, layout: Layout, words: str) -> None:
    with pytest.raises(LayoutError) as error:
        run(size, lambda comm: Grid(comm, layout))
    assert words in str(error.value)
