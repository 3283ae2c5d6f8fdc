"""Collectives that do not wait: the same results, several at once, progress by test alone, overlap by the
clock.
"""

from fractions import Fraction

import numpy as np
import pytest

from minipar.comm.collectives import (
    ALGORITHMS,
    all_reduce,
    reduce_scatter,
    shared_array,
    start_all_reduce,
    start_reduce_scatter,
)
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.errors import CommError
from tests.comm.collectives.cases import share, shares
from tests.ranks import ranks

everywhere = ranks(1, 2, 3, 4, 5, 8, mpi=(2, 3, 5))


@everywhere
def test_the_results_are_those_of_the_blocking_ones(comm: Communicator) -> None:
    mine = np.random.default_rng(comm.rank).standard_normal((13, 2))
    keep = mine.copy()
    for name in ["auto", *(name for name in ALGORITHMS["all_reduce"] if name not in ("native", "shared"))]:
        for op in ("sum", "mean", "max"):
            handle = start_all_reduce(comm, mine, op, label="test", algorithm=name)
            blocking = all_reduce(comm, mine, op, label="blocking", algorithm=name)  # passes the other one by
            assert handle.wait().tobytes() == blocking.tobytes(), name
            assert handle.test() and handle.wait() is handle.wait()
    for name in ["auto", *(name for name in ALGORITHMS["reduce_scatter"] if name != "native")]:
        handle = start_reduce_scatter(comm, mine, "mean", label="test", algorithm=name)
        blocking = reduce_scatter(comm, mine, "mean", label="blocking", algorithm=name)
        assert handle.wait().tobytes() == blocking.tobytes(), name
    assert np.array_equal(mine, keep)


@everywhere
def test_many_at_once_waited_for_in_another_order(comm: Communicator) -> None:
    """As buckets of gradients: in place, and the last one started may be waited for first."""
    arrays = [share(comm.rank, length) for length in (5, 0, 300, 1, 41)]
    handles = [start_all_reduce(comm, array, label=f"bucket {number}", out=array, algorithm=name) for number,
               (array, name) in
               enumerate(zip(arrays, ("ring", "tree", "halving_doubling", "recursive_doubling", "ring"),
                             strict=True))]
    order = np.random.default_rng(comm.rank).permutation(len(handles))
    for number in order:                                            # each rank in an order of its own
        while not handles[number].test():
            for handle in handles:
                handle.test()
        assert handles[number].wait() is arrays[number]
    for array in arrays:
        assert np.array_equal(array, shares(comm.size, array.shape).sum(axis=0))


def test_it_moves_only_when_asked() -> None:
    """Rank 1 starts, then waits for a message from rank 0, which sends it when its own part can make no more
    progress.
    """
    def body(comm: Communicator) -> bool:
        handle = start_all_reduce(comm, np.ones(4), label="test", algorithm="ring")
        if comm.rank == 0:
            done_early = handle.test()
            comm.send(np.ones(1), 1, label="go")
        else:
            comm.recv(np.empty(1), 0, label="go")
            done_early = False
        assert np.array_equal(handle.wait(), [2, 2, 2, 2])
        return done_early

    assert run(2, body) == [False, False]


def test_it_overlaps_with_computing_by_the_clock() -> None:
    """A ring of 2 (p - 1) steps of a millisecond, while the program computes for 12 and tests now and
    then.
    """
    alpha, beta, p, length = Fraction(1, 1000), Fraction(0), 4, 8

    def body(comm: Communicator, pieces: int) -> Fraction:
        clock = Clock(comm, Network(alpha, beta), flops_per_second=1000)
        handle = start_all_reduce(clock, np.ones(length), label="test", algorithm="ring")
        for _ in range(pieces):
            clock.compute(12 / pieces, "backward")                  # 12 ms in all; the ring needs 6
            handle.test()
        handle.wait()
        return clock.now

    overlapped, alone = run(p, body, 12), run(p, body, 0)
    assert alone == [2 * (p - 1) * alpha] * p
    assert max(overlapped) < Fraction(12, 1000) + 2 * (p - 1) * alpha
    assert min(overlapped) >= Fraction(12, 1000)


@everywhere
def test_shared_memory(comm: Communicator) -> None:
    array = shared_array(comm, 50, np.float64, label="test")
    array[:] = share(comm.rank, 50)
    first, second = (start_all_reduce(comm, part, label="test", out=part, algorithm="shared")
                     for part in (array[:7], array[7:]))
    second.wait()
    first.wait()
    assert np.array_equal(array, shares(comm.size, 50).sum(axis=0))


@ranks(2)
def test_what_waits_cannot_be_started(comm: Communicator) -> None:
    for start, name in ((start_all_reduce, "native"), (start_all_reduce, "shared"),
                        (start_reduce_scatter, "native")):
        with pytest.raises(CommError, match=f"cannot start {name}, which waits"):
            start(comm, np.ones(3), label="test", algorithm=name)
