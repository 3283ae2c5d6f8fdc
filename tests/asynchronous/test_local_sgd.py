"""Local SGD and DiLoCo: what they are equal to, and what they send."""

import numpy as np
import pytest

from minipar.asynchronous.local_sgd import Inner, Outer, train_locally
from minipar.comm.collectives import all_reduce, even_counts
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.errors import ConfigError, ShapeError
from minipar.rng import stream
from tests.ranks import ranks

N, LR = 11, 0.1
START = stream(0, "start").normal(size=N)


def gradient(rank: int, step: int, weights: np.ndarray) -> np.ndarray:
    return np.tanh(weights) - stream(rank, f"middle {step}").normal(size=weights.size)


def sgd_of(rank: int) -> Inner:
    def inner(weights: np.ndarray, step: int) -> None:
        weights -= LR * gradient(rank, step, weights)
    return inner


@ranks(2, 3, 5)
def test_an_average_after_every_step_is_data_parallelism(comm: Communicator) -> None:
    expected = START.copy()
    for step in range(7):
        expected -= LR * all_reduce(comm, gradient(comm.rank, step, expected), "mean", label="g")
    found = train_locally(comm, START.copy(), sgd_of(comm.rank), steps=7, every=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert all_reduce(comm, found, "max", label="max").tobytes() == found.tobytes()


@ranks(3)
@pytest.mark.parametrize("every, fragments", [(1, 1), (4, 1), (4, 3)])
def test_equal_workers_are_one(comm: Communicator, every: int, fragments: int) -> None:
    expected = START.copy()
    for step in range(8):
        sgd_of(7)(expected, step)
    found = train_locally(comm, START.copy(), sgd_of(7), steps=8, every=every, fragments=fragments)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@ranks(2)
def test_the_outer_step_is_nesterovs(comm: Communicator) -> None:
    """By hand: two rounds of three local steps, with rate 0.7 and momentum 0.9."""
    shared, velocity = START.copy(), np.zeros(N)
    for round_ in range(2):
        local = [shared.copy() for _ in range(2)]
        for rank, weights in enumerate(local):
            for step in range(3 * round_, 3 * round_ + 3):
                sgd_of(rank)(weights, step)
        pseudo = shared - (local[0] + local[1]) / 2
        velocity = 0.9 * velocity + pseudo
        shared = shared - 0.7 * (pseudo + 0.9 * velocity)
    found = train_locally(comm, START.copy(), sgd_of(comm.rank), steps=6, every=3, outer=Outer(0.7, 0.9))
    np.testing.assert_allclose(found, shared, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps, every, fragments, order", [
    (6, 3, 1, [0, 0]), (5, 3, 1, [0, 0]), (3, 9, 1, [0]), (8, 4, 2, [1, 0, 1, 0, 1]),
    (6, 3, 3, [2, 1, 0, 2, 1, 0, 1, 2])])
def test_what_is_sent_when(steps: int, every: int, fragments: int, order: list[int]) -> None:
    """order: the fragments in the order in which they are sent. The last step sends all that has changed
    since.
    """

    def sent(comm: Communicator) -> list[int]:
        counted, sizes = Counting(comm), []

        class Recorder(Outer):
            def step(self, weights: np.ndarray, pseudo_gradient: np.ndarray, span: slice) -> None:
                sizes.append(span.start)
                super().step(weights, pseudo_gradient, span)
        train_locally(counted, START.copy(), sgd_of(comm.rank), steps=steps, every=every, outer=Recorder(),
                      fragments=fragments)
        assert counted.traffic.total().calls == len(sizes)
        return sizes
    starts = np.cumsum([0, *even_counts(N, fragments)])
    assert run(2, sent) == [[starts[number] for number in order]] * 2


def test_a_longer_stretch_drifts_further() -> None:
    def distance(every: int) -> float:
        weights = run(
            4, lambda comm: train_locally(comm, START.copy(), sgd_of(comm.rank), steps=40, every=every)
        )[0]
        exact = run(4, lambda comm: train_locally(comm, START.copy(), sgd_of(comm.rank), steps=40, every=1))[
            0
        ]
        return float(abs(weights - exact).max())
    assert 1e-5 < distance(5) < distance(40)


@pytest.mark.parametrize("options", [{"steps": 0}, {"every": 0}, {"fragments": 0}, {"fragments": 4}])
def test_numbers_that_cannot_be(options: dict) -> None:
    with pytest.raises(ConfigError):
        run(
            1,
            lambda comm: train_locally(comm, START.copy(), sgd_of(0), **{"steps": 3, "every": 3, **options}),
        )


def test_arguments_that_cannot_be() -> None:
    for rate, momentum in ((0, 0), (-1, 0), (float("nan"), 0), (1, 1), (1, -0.1)):
        with pytest.raises(ConfigError, match="outer rate"):
            Outer(rate, momentum)
    for weights in (np.ones((2, 2)), np.ones(3, np.int64)):
        with pytest.raises(ShapeError):
            run(1, lambda comm, weights=weights: train_locally(comm, weights, sgd_of(0), steps=1, every=1))
