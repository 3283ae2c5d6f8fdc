"""Reductions: values, equal bits on all ranks, unchanged inputs; every algorithm, 1 to 16 ranks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipar.comm.collectives import ALGORITHMS, all_reduce, reduce, reduce_scatter, shared_array
from minipar.comm.collectives.algorithms.ring import add_around
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import even_counts, pieces
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.plan.collective_times import SEGMENT_BYTES
from tests.comm.collectives.cases import (
    EXPECTED,
    algorithms,
    check_all_reduce,
    check_reduce_scatter,
    same_bits,
    share,
    shares,
    uneven,
)
from tests.ranks import ranks

everywhere = ranks(1, 2, 3, 4, 5, 6, 7, 8, 9, 16, mpi=(2, 3, 4, 5))


@everywhere
def test_all_reduce(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "all_reduce"):
        for length in (0, 1, 5, 37):
            check_all_reduce(comm, algorithm, "sum", length, "f8")
        for op, dtype in [("sum", "f4"), ("sum", "i8"), ("mean", "f4"), ("mean", "i8"), ("max", "f8"),
                          ("min", "i8")]:
            check_all_reduce(comm, algorithm, op, (3, 5), dtype)
        check_all_reduce(comm, algorithm, "sum", (), "f8")


@everywhere
def test_reduce_scatter(comm: Communicator) -> None:
    counts = uneven(comm.size)
    for algorithm in algorithms(comm, "reduce_scatter"):
        for op in EXPECTED:
            check_reduce_scatter(comm, algorithm, op, counts, sum(counts))
        for rows in (0, 1, 7, 65):
            check_reduce_scatter(comm, algorithm, "sum", None, rows)


CASES: list[tuple[Any, str]] = [((4, 5), "sum"), ((4, 5), "mean"), (1, "max"), (0, "min"), (23, "sum")]


@everywhere
def test_reduce(comm: Communicator) -> None:
    for algorithm in algorithms(comm, "reduce"):
        for root in {0, comm.size // 2, comm.size - 1}:
            for shape, op in CASES:
                mine = share(comm.rank, shape)
                total = reduce(comm, mine, op, root=root, label="test", algorithm=algorithm)
                assert np.array_equal(mine, share(comm.rank, shape)), algorithm
                if comm.rank == root:
                    assert total is not None
                    expected = EXPECTED[op](shares(comm.size, shape), axis=0)
                    assert np.allclose(total, expected, rtol=1e-12, atol=0), (algorithm, root)
                    assert reduce(comm, mine, op, root=root, label="test", algorithm=algorithm,
                                  out=mine) is mine
                    assert np.array_equal(mine, total)
                else:
                    assert total is None
                    assert reduce(comm, mine, op, root=root, label="test", algorithm=algorithm) is None


@everywhere
def test_all_ranks_get_the_same_bits(comm: Communicator) -> None:
    """Rounding, signed zeros and NaNs with different payloads all depend on the order of the operands."""
    noise = np.random.default_rng(comm.rank).standard_normal(67)
    zeros = np.full(67, -0.0 if comm.rank % 2 else 0.0)
    nans = (np.uint64(0x7FF8000000000000) + np.arange(67, dtype=np.uint64) * 1000
            + np.uint64(comm.rank)).view(np.float64)
    for algorithm in algorithms(comm, "all_reduce"):
        if algorithm != "native":                                   # the MPI library promises nothing here
            assert same_bits(comm, all_reduce(comm, noise, label="noise", algorithm=algorithm)), algorithm
            assert same_bits(comm, all_reduce(comm, zeros, "max", label="zeros",
                                              algorithm=algorithm)), algorithm
            assert same_bits(comm, all_reduce(comm, nans, label="nans", algorithm=algorithm)), algorithm


@ranks(1, 2, 3, 5, mpi=(2, 3))
def test_the_segmented_ring_has_the_bits_of_the_ring(comm: Communicator) -> None:
    """Chunks of two and of three segments, which do not divide evenly."""
    rng = np.random.default_rng(comm.rank)
    for segments in (2, 3):
        length = (segments * SEGMENT_BYTES // 4 - 1000) * comm.size + 1
        noise = rng.random(length, np.float32)
        for operation in (all_reduce, reduce_scatter):
            plain, cut = (operation(comm, noise, label="test", algorithm=name)
                          for name in ("ring", "segmented"))
            assert plain.tobytes() == cut.tobytes()


@everywhere
def test_shared_arrays_and_their_views(comm: Communicator) -> None:
    array = shared_array(comm, (40, 7), np.float32, label="test")
    assert not array.any() and array.shape == (40, 7)
    for view in (array, array[3:17], array[20:20], array[5:6, 2:5]):
        view[...] = share(comm.rank, view.shape, "f4")
        expected = shares(comm.size, view.shape, "f4").sum(axis=0)
        contiguous = view if view.flags.c_contiguous else view.copy()
        for algorithm in ("shared", "auto", "ring"):
            contiguous[...] = share(comm.rank, view.shape, "f4")
            assert all_reduce(comm, contiguous, label="test", out=contiguous,
                              algorithm=algorithm) is contiguous
            assert np.array_equal(contiguous, expected), (algorithm, view.shape)
    part = comm.split(comm.rank % 2, label="half")
    assert part is not None
    array[...] = comm.rank
    all_reduce(part, array, label="half", out=array, algorithm="shared")
    assert np.all(array == sum(range(comm.rank % 2, comm.size, 2)))


@ranks(4, 7, 9, engines=["threads"], nodes=None)
@pytest.mark.parametrize("width", [1, 2, 3, 9])
def test_hierarchical_over_several_nodes(comm: Communicator, width: int) -> None:
    for nodes in ([rank // width for rank in range(comm.size)], [rank % width for rank in range(comm.size)]):
        comm.nodes = tuple(nodes)
        for algorithm in ("hierarchical", "auto"):
            for length in (0, 1, 5, 41):
                check_all_reduce(comm, algorithm, "sum", length, "f8")
        noise = np.random.default_rng(comm.rank).standard_normal(67)
        assert same_bits(comm, all_reduce(comm, noise, label="noise", algorithm="hierarchical"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_shape_on_any_number_of_ranks(data: st.DataObject) -> None:
    size, op = data.draw(st.integers(1, 9), "ranks"), data.draw(st.sampled_from(list(EXPECTED)), "op")
    shape = tuple(data.draw(st.lists(st.integers(0, 9), max_size=3), "shape"))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i8"]), "dtype")
    names = [name for name in ALGORITHMS["all_reduce"] if name != "native"]
    algorithm = data.draw(st.sampled_from(names), "algorithm")
    run(size, check_all_reduce, algorithm, op, shape, dtype)


# The checks above can fail: algorithms with one bug each.

def forgets_the_last_step(channel: Channel, source: np.ndarray, out: np.ndarray,
                          combine: np.ufunc) -> AlgorithmSteps:
    """A ring whose all-gather is one step short."""
    chunks = pieces(out, even_counts(out.size, channel.size))
    yield from add_around(channel, pieces(source, even_counts(out.size, channel.size)), chunks, combine)
    p, rank = channel.size, channel.rank
    for step in range(p - 2):
        yield from exchange(channel, chunks[(rank - step) % p], (rank + 1) % p, chunks[(rank - step - 1) % p],
                            (rank - 1) % p)


def writes_into_its_input(channel: Channel, source: np.ndarray, out: np.ndarray,
                          combine: np.ufunc) -> AlgorithmSteps:
    yield from ALGORITHMS["all_reduce"]["tree"](channel, source, out, combine)
    source[:1] += 1


def adds_mine_and_yours(channel: Channel, source: np.ndarray, out: np.ndarray,
                        combine: np.ufunc) -> AlgorithmSteps:
    """Recursive doubling on two ranks where each puts its own array first."""
    incoming = np.empty_like(out)
    yield from exchange(channel, source, 1 - channel.rank, incoming, 1 - channel.rank)
    combine(source, incoming, out=out)


def gives_away_the_wrong_chunk(channel: Channel, source: np.ndarray, out: np.ndarray, counts: list[int],
                               combine: np.ufunc) -> AlgorithmSteps:
    yield from ALGORITHMS["reduce_scatter"]["naive"](channel, np.roll(source, 1), out, counts, combine)


@pytest.mark.parametrize("mutant", [forgets_the_last_step, writes_into_its_input])
def test_the_check_of_all_reduce_can_fail(mutant: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS["all_reduce"], "mutant", mutant)
    with pytest.raises(AssertionError, match="all_reduce sum by mutant"):
        run(3, check_all_reduce, "mutant", "sum", 37, "f8")


def test_the_check_of_bits_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS["all_reduce"], "mutant", adds_mine_and_yours)

    def body(comm: Communicator) -> bool:
        zeros = np.full(67, -0.0 if comm.rank % 2 else 0.0)
        return same_bits(comm, all_reduce(comm, zeros, "max", label="zeros", algorithm="mutant"))

    assert run(2, body) == [False, False]


def test_the_check_of_reduce_scatter_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS["reduce_scatter"], "mutant", gives_away_the_wrong_chunk)
    with pytest.raises(AssertionError, match="reduce_scatter sum by mutant"):
        run(3, check_reduce_scatter, "mutant", "sum", None, 7)
