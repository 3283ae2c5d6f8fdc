"""The parameter server: synchronous it is data parallelism, asynchronous it repeats, and its delay is the
theory's.
"""

from collections import Counter

import numpy as np
import pytest

from minipar.asynchronous.parameter_server import Applied, ServerOptions, sgd, train_with_server
from minipar.asynchronous.staleness import stability_limit
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.errors import ConfigError, ShapeError
from minipar.rng import stream
from tests.ranks import ranks

N = 13
START = stream(0, "start").normal(size=N)


def gradient(worker: int, step: int, weights: np.ndarray) -> np.ndarray:
    """Of a bowl with another middle for each worker and step."""
    return weights - stream(worker, f"middle {step}").normal(size=weights.size)


def uneven(worker: int, step: int) -> float:
    return 1 + 0.5 * worker + 0.25 * ((worker + step) % 3)


def train(comm: Communicator, options: ServerOptions, lr: float = 0.1) -> tuple[np.ndarray, list[Applied]]:
    return train_with_server(comm, START, gradient, sgd(lr), options)


@pytest.mark.parametrize("size, servers", [(2, 1), (3, 1), (5, 1), (5, 2), (8, 3)])
def test_synchronous_is_the_naive_all_reduce_in_bits(size: int, servers: int) -> None:
    def data_parallel(comm: Communicator) -> np.ndarray:
        weights = START.copy()
        for step in range(4):
            weights -= 0.1 * all_reduce(
                comm, gradient(comm.rank, step, weights), label="g", algorithm="naive"
            )
        return weights
    expected = run(size - servers, data_parallel)[0]
    for final, applied in run(size, train, ServerOptions(4, servers, synchronous=True, seconds=uneven)):
        assert final.tobytes() == expected.tobytes()
        assert [one.staleness for one in applied] == [0] * 4 * (size - servers)


@pytest.mark.parametrize("size, servers, bound", [(3, 1, None), (5, 2, None), (5, 1, 0), (8, 3, 2)])
def test_asynchronous_runs_repeat_in_bits(size: int, servers: int, bound: int | None) -> None:
    """On all ranks, in a second run, and as one process computes it from the log of what was applied."""
    options = ServerOptions(6, servers, bound=bound, seconds=uneven)
    results = [*run(size, train, options), *run(size, train, options)]
    final, applied = results[0]
    assert all(one.tobytes() == final.tobytes() and log == applied for one, log in results)
    assert [one.time for one in applied] == sorted(one.time for one in applied)
    versions, weights = [START], START.copy()
    for number, one in enumerate(applied):
        weights = weights - 0.1 * gradient(one.worker, one.step, versions[number - one.staleness])
        versions.append(weights)
    np.testing.assert_allclose(final, weights, rtol=0, atol=1e-12)
    assert Counter((one.worker, one.step) for one in applied) == {
        (w, s): 1 for w in range(size - servers) for s in range(6)
    }


@ranks(5, engines=["mpi"])
def test_under_mpirun_as_on_threads(comm: Communicator) -> None:
    options = ServerOptions(6, 2, seconds=uneven)
    assert train(comm, options)[0].tobytes() == run(5, train, options)[0][0].tobytes()


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_nobody_is_further_ahead_than_the_bound(bound: int) -> None:
    def slow_first(worker: int, step: int) -> float:
        return 10.0 if worker == 0 else 1.0
    _, applied = run(4, train, ServerOptions(8, 1, bound=bound, seconds=slow_first))[0]
    done, ahead = Counter({0: 0, 1: 0, 2: 0}), 0
    for one in applied:
        done[one.worker] += 1
        ahead = max(ahead, max(done.values()) - min(done.values()))
    assert ahead == bound + 1  # it computes step c when all have done c - bound


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_the_staleness_of_equal_workers_has_the_limit_of_the_theory(workers: int) -> None:
    """p equal workers in turn: each gradient is p - 1 updates old."""
    def train_at(comm: Communicator, factor: float) -> tuple[np.ndarray, list[Applied]]:
        rate = factor * stability_limit(workers - 1)
        return train_with_server(comm, np.ones(1), lambda worker, step, w: w, sgd(rate), ServerOptions(120))
    for factor, shrinks in ((0.9, True), (1.1, False)):
        final, applied = run(workers + 1, train_at, factor)[0]
        assert {one.staleness for one in applied[workers:]} == {workers - 1}
        assert abs(final[0]) < 0.1 if shrinks else abs(final[0]) > 10


def test_traffic_is_2_p_n() -> None:
    def traffic(comm: Communicator) -> int:
        counted = Counting(comm)
        train(counted, ServerOptions(6, 2, seconds=uneven))
        by_label = counted.traffic.by("label")
        return sum(tally.bytes for (label,), tally in by_label.items() if label in ("push", "pull"))
    sent = run(5, traffic)
    assert sum(sent) == 6 * 2 * 3 * N * 8 and sent[2:] == [6 * N * 8] * 3


@pytest.mark.parametrize("options, error, words", [
    (ServerOptions(3, 0), ConfigError, "0 servers"), (ServerOptions(3, 3), ConfigError, "3 servers of 3"),
    (ServerOptions(3, bound=-1), ConfigError, "bound"), (ServerOptions(0), ConfigError, "0 steps")])
def test_options_that_cannot_be(options: ServerOptions, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        run(3, train, options)


@pytest.mark.parametrize("weights, wrong, words", [
    (np.ones((2, 2)), lambda w, s, x: x, "shape"), (np.ones(3, np.int64), lambda w, s, x: x, "int64"),
    (np.ones(3), lambda w, s, x: x[:2], "gradient of worker")])
def test_arrays_that_do_not_fit(weights: np.ndarray, wrong: object, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        run(3, lambda comm: train_with_server(comm, weights, wrong, sgd(1), ServerOptions(2)))  # type: ignore[arg-type]
