"""Checks of asynchronous, local and elastic training. Each check compares two results that must be equal.

`first_failed_check` runs the checks in order. A check raises LooseError if the results differ. The bugs that
the checks must detect are in loose_mutants.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from minipar.arrays import Arrays
from minipar.asynchronous.local_sgd import Inner, Outer, train_locally
from minipar.asynchronous.merge import align, average
from minipar.asynchronous.parameter_server import Applied, ServerOptions, sgd, train_with_server
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.faults import Fault
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import ByteTokenizer
from minipar.errors import MiniparError
from minipar.parallel.grid import Grid
from minipar.rng import stream
from minipar.training.elastic import ElasticTraining, change_layout, smaller_along_dp
from minipar.training.trainer import Trainer

# N: the number of weights. STEPS: the steps of each worker. LR: the learning rate.
N, WORKERS, STEPS, LR = 7, 3, 5, 0.1
START = stream(0, "start").normal(size=N)
MODEL = ModelConfig(vocabulary=256, context=4, layers=2, heads=2, width=4)
TRAIN = TrainConfig(batch=4, steps=4, lr=0.1, warm_up=2, optimizer="sgd", dtype="float64",
                    validation_windows=1)
TOKENS = stream(0, "tokens").integers(0, 256, 200).astype(np.int32)
BITWISE = smaller_along_dp(Layout(dp=3, gradients="bitwise"))


class LooseError(MiniparError):
    """Two results of asynchronous, local or elastic training differ."""


def _require(holds: bool, claim: str) -> None:
    if not holds:
        raise LooseError(claim)


def gradient(worker: int, step: int, weights: np.ndarray) -> np.ndarray:
    """Returns the gradient of a loss with one minimum. The position of the minimum depends on worker and
    step.
    """
    found: np.ndarray = np.tanh(weights) - stream(worker, f"middle {step}").normal(size=N)
    return found


def uneven(worker: int, step: int) -> float:
    """Returns the simulated seconds of a worker's step. They differ between workers and steps."""
    return 1 + 0.5 * worker + 0.25 * ((worker + step) % 3)


def _served(**options: object) -> tuple[np.ndarray, list[Applied]]:
    settings = ServerOptions(STEPS, seconds=uneven, **options)      # type: ignore[arg-type]
    final, applied = run(WORKERS + 1, train_with_server, START, gradient, sgd(LR), settings)[0]
    return final, applied


def synchronous() -> None:
    """Compares two programs: a server that waits for all workers, and data parallelism. Data parallelism uses
    the naive all-reduce, so the weights must be bitwise equal.
    """
    def data_parallel(comm: Communicator) -> np.ndarray:
        weights: np.ndarray = START.copy()
        for step in range(STEPS):
            total = all_reduce(comm, gradient(comm.rank, step, weights), label="gradient", algorithm="naive")
            np.subtract(weights, LR * total, out=weights)
        return weights

    final, _ = _served(synchronous=True)
    _require(final.tobytes() == run(WORKERS, data_parallel)[0].tobytes(), "it is not data parallelism")


def replayed() -> None:
    """Repeats the updates in the log of an asynchronous run on one process. Both runs must end with the same
    weights.
    """
    final, applied = _served()
    wanted = {(worker, step): 1 for worker in range(WORKERS) for step in range(STEPS)}
    _require(Counter((one.worker, one.step) for one in applied) == wanted, "a gradient is missing")
    _require([one.time for one in applied] == sorted(one.time for one in applied), "the times go back")
    versions, pulled = [START], dict.fromkeys(range(WORKERS), 0)
    for number, one in enumerate(applied):
        _require(number - one.staleness == pulled[one.worker], "a staleness is wrong")
        versions.append(versions[-1] - LR * gradient(one.worker, one.step, versions[pulled[one.worker]]))
        pulled[one.worker] = number + 1
    _require(abs(final - versions[-1]).max() < 1e-12, "the log leads to other weights")


def bound() -> None:
    """Checks bound=0: a worker must not begin a step before all workers have finished the previous step."""
    done = dict.fromkeys(range(WORKERS), 0)
    for one in _served(bound=0)[1]:
        done[one.worker] += 1
        _require(max(done.values()) - min(done.values()) <= 1, "a worker is too far ahead")


def _sgd_of(rank: int) -> Inner:
    def inner(weights: np.ndarray, step: int) -> None:
        weights -= LR * gradient(rank, step, weights)
    return inner


def local() -> None:
    """Compares two programs: one averages the ranks' weights after every SGD step, the other averages their
    gradients (data parallelism).
    """
    expected = START.copy()
    for step in range(STEPS):
        mean = sum(gradient(rank, step, expected) for rank in range(WORKERS)) / WORKERS
        expected = expected - LR * mean
    found = run(WORKERS, lambda comm: train_locally(comm, START.copy(), _sgd_of(comm.rank), steps=STEPS,
                                                    every=1))[0]
    _require(abs(found - expected).max() < 1e-12, "it is not data parallelism")


def rounds() -> None:
    """Compares two rounds of local steps with a direct computation. Each round ends with Nesterov's outer
    step. If the weights travel in three fragments, all ranks must still end with the same weights.
    """
    shared, velocity = START.copy(), np.zeros(N)
    for round_ in range(2):
        found = [shared.copy() for _ in range(WORKERS)]
        for rank, weights in enumerate(found):
            for step in range(3 * round_, 3 * round_ + 3):
                _sgd_of(rank)(weights, step)
        pseudo = shared - sum(found) / WORKERS
        velocity = 0.9 * velocity + pseudo
        shared = shared - 0.7 * (pseudo + 0.9 * velocity)

    def trained(comm: Communicator, fragments: int) -> np.ndarray:
        return train_locally(comm, START.copy(), _sgd_of(comm.rank), steps=6, every=3, outer=Outer(0.7, 0.9),
                             fragments=fragments)
    _require(abs(run(WORKERS, trained, 1)[0] - shared).max() < 1e-12, "the outer step is another")
    in_parts = run(WORKERS, trained, 3)
    _require(all(one.tobytes() == in_parts[0].tobytes() for one in in_parts), "the ranks differ")


def merged() -> None:
    """Averages a model and a copy of it whose hidden units are in another order. The average must equal the
    model.
    """
    rng = stream(1, "merge")
    model: Arrays = {"up.weight": rng.normal(size=(3, 12)), "up.bias": rng.normal(size=12),
                     "down.weight": rng.normal(size=(12, 2))}
    order = rng.permutation(12)
    other = {"up.weight": model["up.weight"][:, order], "up.bias": model["up.bias"][order],
             "down.weight": model["down.weight"][order]}
    mean = average([model, align(model, other, "up", "down")])
    _require(all(np.array_equal(mean[name], model[name]) for name in model), "the average is another model")


def _make(grid: Grid) -> Trainer:
    return Trainer(MODEL, TRAIN, ByteTokenizer(), TOKENS, grid)


def deaths() -> None:
    """Compares a run in which two ranks die with a run in which no rank dies. The weights must be bitwise
    equal, both if the state is saved after every step and if it is saved after every second step.
    """
    calm = ElasticTraining(_make, BITWISE, 1).run()[0]
    late = [[Fault("kill", rank=1, nth=14)], [Fault("kill", rank=0, nth=12)]]
    for every in (1, 2):
        training = ElasticTraining(_make, BITWISE, 3, replica_every=every)
        found = training.run(late)[0]
        _require(len(training.lives) == 3, "the deaths did not come")
        _require(all(found[name].tobytes() == calm[name].tobytes() for name in calm), "the weights differ")


def in_flight() -> None:
    """Trains with dp=2, then tp=2, then pp=2. The weights must equal the weights of one process."""
    def changing(comm: Communicator) -> Arrays:
        trainer = _make(Grid(comm, Layout(dp=2)))
        trainer.step()
        for layout in (Layout(tp=2), Layout(pp=2)):
            trainer = change_layout(trainer, layout, _make)
            trainer.step()
        trainer.step()
        return trainer.state()[0]

    calm, found = ElasticTraining(_make, BITWISE, 1).run()[0], run(2, changing)[0]
    _require(all(abs(found[name] - calm[name]).max() < 1e-12 for name in calm), "the weights differ")


CHECKS: dict[str, Callable[[], None]] = {
    "synchronous": synchronous, "replayed": replayed, "bound": bound, "local": local, "rounds": rounds,
    "merged": merged, "deaths": deaths, "in flight": in_flight}


def first_failed_check() -> str | None:
    """Returns the name of the first check that fails, or None."""
    for name, check in CHECKS.items():
        try:
            check()
        except MiniparError:
            return name
    return None
