"""Compares the clock with the alpha-beta formulas, in exact fractions; tests the choice of algorithms by
them.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives import (
    ALGORITHMS,
    all_gather,
    all_reduce,
    all_to_all,
    broadcast,
    reduce,
    reduce_scatter,
    select,
)
from minipar.comm.collectives.channel import Channel, finish
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.plan.collective_times import TIMES, Links, hierarchical_all_reduce, shared_all_reduce
from tests.ranks import ranks

ALPHA, BETA = Fraction(5, 10**6), Fraction(1, 10**9)
LINKS = Links(ALPHA, BETA, Fraction(0))


def clock(comm: Communicator, network: Network | None = None) -> Clock:
    return Clock(comm, network or Network(ALPHA, BETA), flops_per_second=1e9)


@ranks(1, 2, 3, 4, 5, 8, 9, mpi=(2, 3))
def test_a_ring_takes_as_long_as_its_formula_says(comm: Communicator) -> None:
    """2 (p - 1) (alpha + n/p beta), to the last digit, on every rank."""
    p = comm.size
    ticking = clock(comm)
    n = 40 * p * 8
    all_reduce(ticking, np.ones(40 * p), label="test", algorithm="ring")
    assert ticking.now == 2 * (p - 1) * (ALPHA + Fraction(n, p) * BETA)


def rank_time(comm: Communicator, operation: str, algorithm: str, length: int) -> Fraction:
    """length: elements of the whole array, float64."""
    ticking, whole = clock(comm), np.ones(length)
    if operation == "all_gather":
        all_gather(ticking, whole[:length // comm.size], label="test", algorithm=algorithm)
    else:
        collective: Any = {"all_reduce": all_reduce, "reduce_scatter": reduce_scatter, "broadcast": broadcast,
                      "reduce": reduce, "all_to_all": all_to_all}[operation]
        collective(ticking, whole, label="test", algorithm=algorithm)
    return ticking.now


@pytest.mark.parametrize("operation", ["all_reduce", "reduce_scatter", "all_gather", "all_to_all",
                                       "broadcast"])
@pytest.mark.parametrize("p", [2, 4, 8])
def test_the_last_rank_ends_when_the_formula_says(operation: str, p: int) -> None:
    """Where p is a power of two and divides n, the formulas are exact."""
    for algorithm, formula in TIMES[operation].items():
        for length in (p, 16 * p):
            last = max(run(p, rank_time, operation, algorithm, length))
            assert last == formula(p, Fraction(8 * length), LINKS), (algorithm, length)


@pytest.mark.parametrize("p", [3, 5, 6, 7, 9])
def test_other_numbers_of_ranks(p: int) -> None:
    """Rings, Bruck's and the pairwise algorithm keep their formulas; trees and folds stay within theirs."""
    exact = {"ring", "segmented", "pairwise"}
    for operation in ("all_reduce", "reduce_scatter", "all_gather", "all_to_all"):
        for algorithm, formula in TIMES[operation].items():
            last, said = max(run(p, rank_time, operation, algorithm, 16
                                 * p)), formula(p, Fraction(8 * 16 * p), LINKS)
            assert last == said if algorithm in exact else last <= said, (operation, algorithm)


class Adding:
    """An addition that takes time on the collective's own line: gamma seconds per byte of its result."""

    def __init__(self, ticking: Clock, tag: int, gamma: Fraction) -> None:
        self.ticking, self.tag, self.gamma = ticking, tag, gamma

    def __call__(self, one: np.ndarray, other: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.ticking._lines[self.tag] += self.gamma * out.nbytes
        return np.add(one, other, out=out)


def time_with_additions(comm: Communicator, operation: str, algorithm: str, length: int,
                        gamma: Fraction) -> Fraction:
    ticking, source, p = clock(comm), np.ones(length), comm.size
    tag = ticking.entering(operation, None, None, label="test")
    share = length // p
    out = np.empty(share if operation == "reduce_scatter" else length)
    how: Any = {"reduce": [0], "all_reduce": [], "reduce_scatter": [[share] * p]}[operation]
    combine = Adding(ticking, tag, gamma)
    more = [*how, combine] if operation == "reduce_scatter" else [combine, *how]
    finish(ticking, ALGORITHMS[operation][algorithm](Channel(ticking, "test", tag), source, out, *more))
    return max(ticking.now, ticking._lines[tag])


@pytest.mark.parametrize("gamma", [BETA / 10, BETA, 40 * BETA], ids=["fast", "as messages", "slow"])
@pytest.mark.parametrize("p", [1, 2, 4, 8])
@pytest.mark.parametrize("operation", ["reduce", "all_reduce", "reduce_scatter"])
def test_additions_take_the_time_that_the_formula_says(operation: str, p: int, gamma: Fraction) -> None:
    """Where p is a power of two and divides n, to the last digit, however fast a rank adds."""
    for algorithm, formula in TIMES[operation].items():
        last = max(run(p, time_with_additions, operation, algorithm, 16 * p, gamma))
        assert last == formula(p, Fraction(8 * 16 * p), Links(ALPHA, BETA, gamma)), algorithm


def test_hierarchical_time() -> None:
    """Two nodes of four ranks whose links between nodes are ten times as slow."""
    network = Network(ALPHA, BETA, 10 * ALPHA, 10 * BETA)

    def body(comm: Communicator) -> Fraction:
        ticking = clock(comm, network)
        all_reduce(ticking, np.ones(80), label="test", algorithm="hierarchical")
        return ticking.now

    expected = hierarchical_all_reduce(2, 4, Fraction(640), LINKS, Links(10 * ALPHA, 10 * BETA))
    assert run(8, body, nodes=[0] * 4 + [1] * 4) == [expected] * 8


def test_a_wrong_formula_is_noticed() -> None:
    """A ring's formula with the whole array in each message, or with one step too few, is not what the clock
    says.
    """
    taken = max(run(4, rank_time, "all_reduce", "ring", 64))
    assert taken != 6 * (ALPHA + 512 * BETA) and taken != 5 * (ALPHA + 128 * BETA)


def test_select_takes_the_fastest() -> None:
    assert select("all_reduce", 8, 8) == "recursive_doubling"
    assert select("all_reduce", 1 << 26, 8) in ("ring", "segmented", "halving_doubling")
    assert select("all_reduce", 1 << 26, 7) in ("ring", "segmented")
    assert select("broadcast", 8, 16) == "tree" and select("broadcast", 1 << 26, 16) == "ring"
    assert select("all_to_all", 8, 16) == "bruck" and select("all_to_all", 1 << 26, 16) == "pairwise"
    slow = Links(1.0, 1e-9)
    # where messages cost a second each
    assert select("all_reduce", 1 << 26, 7, within=slow) == "recursive_doubling"
    assert select("all_reduce", 1 << 26, 8, nodes=2) == "hierarchical"
    for operation, times in TIMES.items():
        for nbytes in (0, 8, 4096, 1 << 20, 1 << 28):
            for p in range(1, 17):
                name = select(operation, nbytes, p, within=LINKS)
                assert times[name](p, nbytes, LINKS) == min(time(p, nbytes, LINKS) for time in times.values())


def test_every_algorithm_has_a_time() -> None:
    """All but the library's own, shared memory, which is chosen by where the array lies, and the hierarchical
    one.
    """
    for operation, algorithms in ALGORITHMS.items():
        assert set(algorithms) - set(TIMES[operation]) <= {"native", "shared", "hierarchical"}


def test_auto_follows_select(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for name, algorithm in ALGORITHMS["all_reduce"].items():
        monkeypatch.setitem(ALGORITHMS["all_reduce"], name,
                            lambda *arguments, name=name,
                            algorithm=algorithm: (used.append(name), algorithm(*arguments))[1])

    def body(comm: Communicator) -> None:
        for length in (1, 1 << 20):
            all_reduce(comm, np.ones(length), label="test")

    run(3, body)
    assert used == [select("all_reduce", 8, 3)] * 3 + [select("all_reduce", 8 << 20, 3)] * 3


def test_shared_memory_waits_for_three_barriers() -> None:
    assert shared_all_reduce(8, Fraction(1 << 20), LINKS) == 9 * ALPHA
