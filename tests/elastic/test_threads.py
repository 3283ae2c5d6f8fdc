"""A training goes on after deaths, with the weights of a training without deaths."""

from dataclasses import replace

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.faults import Fault
from minipar.config import Layout
from minipar.errors import ConfigError, LayoutError
from minipar.parallel.grid import Grid
from minipar.training.elastic import ElasticTraining, Life, change_layout, choose_layout, smaller_along_dp
from tests.elastic.deaths import BITWISE, MIXED, STEPS, distance, make, train
from tests.ranks import ranks
from tests.refusals import refused


def kill(rank: int, nth: int) -> Fault:
    return Fault("kill", rank=rank, nth=nth)


@pytest.mark.parametrize("nth", [0, 5, 12, 20])
@pytest.mark.parametrize("rank", [0, 3])
def test_only_dp_changes_so_no_bit_does(rank: int, nth: int) -> None:
    expected = train(BITWISE, 4)[0]
    state, training = train(BITWISE, 4, [[kill(rank, nth)]])
    assert [life.layout.dp for life in training.lives] == [4, 3] and training.lives[0].killed == (rank,)
    assert distance(state, expected) == 0


def test_the_comparison_sees_a_lost_step() -> None:
    def forgets(grid: Grid):  # noqa: ANN202
        trainer = make(grid)
        batches = trainer.batches.get
        trainer.batches.get = lambda number: batches(number + (grid.layout.dp == 3))  # type: ignore[assignment, method-assign]
        return trainer
    state = ElasticTraining(forgets, BITWISE, 4).run([[kill(1, 12)]])
    assert distance(state, train(BITWISE, 4)[0]) > 1e-6


@pytest.mark.parametrize("nth", [3, 25])
def test_another_layout_after_each_of_three_deaths(nth: int) -> None:
    """dp2 x tp2, then three ranks: pp2; then two: pp2 again; then one."""
    deaths = [[kill(2, nth)], [kill(0, nth)], [kill(1, 12)]]
    state, training = train(MIXED, 4, deaths)
    assert [life.layout.ranks for life in training.lives] == [4, 2, 2, 1]
    assert distance(state, train([Layout()], 1)[0]) < 1e-12


def test_two_ranks_at_once() -> None:
    state, training = train(BITWISE, 4, [[kill(1, 15), kill(2, 15)]])
    assert training.lives[1].layout.dp in (2, 3)                    # the second may end before its own death
    assert distance(state, train(BITWISE, 1)[0]) == 0


def test_steps_since_the_last_replica_run_again() -> None:
    state, training = train(BITWISE, 4, [[kill(0, 25)]], replica_every=2)
    assert [life.first_step for life in training.lives] == [0, 2] and distance(
        state, train(BITWISE, 2)[0]
    ) == 0
    assert training.lives[1] == Life(BITWISE[1], 2)


def test_too_few_ranks_are_left() -> None:
    with refused(LayoutError, item="layouts"):
        train([Layout(dp=2), Layout(tp=2)], 2, [[kill(1, 9)]])


def test_an_error_that_is_no_death_ends_the_training() -> None:
    def broken(grid: Grid):  # noqa: ANN202
        raise ConfigError("a mistake")
    with pytest.raises(ConfigError, match="a mistake"):
        ElasticTraining(broken, BITWISE, 4).run()


def test_which_layout() -> None:
    allowed = [Layout(dp=4), Layout(tp=2), Layout(dp=2), Layout()]
    assert [choose_layout(allowed, n) for n in (5, 4, 3, 2, 1)] == [allowed[0], allowed[0], allowed[1],
                                                                    allowed[1], allowed[3]]
    assert smaller_along_dp(Layout(dp=3, tp=2))[1] == Layout(dp=2, tp=2)
    with pytest.raises(LayoutError, match="smallest allowed layout needs 2"):
        choose_layout(allowed[:3], 1)


@ranks(4)
def test_the_layout_changes_in_flight_without_a_file(comm: Communicator) -> None:
    """dp4, one step; tp2 x dp2, one step; pp2 x dp2, one step: as one process."""
    trainer = make(Grid(comm, Layout(dp=4)))
    trainer.step()
    for layout in (Layout(dp=2, tp=2), Layout(dp=2, pp=2)):
        trainer = change_layout(trainer, layout, make)
        trainer.step()
    arrays, meta = trainer.state()
    if comm.rank == 0:
        expected = train([Layout()], 1)[0]
        assert meta["done"] == STEPS and distance((arrays, meta), (expected[0], expected[1])) < 1e-12
    with pytest.raises(LayoutError, match="needs 2 ranks"):
        change_layout(trainer, replace(Layout(), dp=2), make)


def test_distances() -> None:
    state = {"w": np.zeros(2)}, {"done": 3}
    assert distance(state, ({"w": np.array([0, 1.0])}, {"done": 3})) == 1
    assert distance(state, (state[0], {"done": 2})) == np.inf
