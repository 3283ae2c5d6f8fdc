"""What is sent equals the closed forms: messages and bytes of every rank, exactly, for every algorithm, 1 to
9 ranks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives import (
    ALGORITHMS,
    all_gather,
    all_reduce,
    all_to_all,
    broadcast,
    even_counts,
    gather,
    reduce,
    reduce_scatter,
    scatter,
    shared_array,
)
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.plan import collectives as plan
from minipar.plan.collective_times import SEGMENT_BYTES
from minipar.plan.pieces import piece
from tests.comm.collectives.cases import uneven
from tests.ranks import ranks

LENGTHS = (0, 1, 5, 24, 37)
RANKS = range(1, 10)
Formula = Callable[..., plan.CollectiveTraffic]

SEGMENT = SEGMENT_BYTES // 8                                        # float64 elements
ROOTED: dict[str, dict[str, Formula]] = {
    "broadcast": {"naive": plan.naive_broadcast, "tree": plan.tree_broadcast, "ring": plan.ring_broadcast},
    "reduce": {"naive": plan.direct_reduce, "tree": plan.direct_reduce, "ring": plan.ring_reduce},
    "gather": {"naive": plan.naive_gather, "tree": plan.tree_gather},
    "scatter": {"naive": plan.naive_scatter, "tree": plan.tree_scatter},
}
SYMMETRIC: dict[str, dict[str, Formula]] = {
    "all_reduce": {
        "naive": plan.naive_all_reduce, "tree": plan.tree_all_reduce, "ring": plan.ring_all_reduce,
        "segmented": lambda p, rank, n: plan.segmented_all_reduce(p, rank, n, SEGMENT),
        "recursive_doubling": plan.recursive_doubling_all_reduce,
        "halving_doubling": plan.halving_doubling_all_reduce,
        "hierarchical": lambda p, rank, n: plan.hierarchical_all_reduce([0] * p, rank, n),
        "shared": plan.shared_all_reduce,
    },
    "reduce_scatter": {
        "naive": plan.naive_reduce_scatter, "ring": plan.ring_reduce_scatter,
        "segmented": lambda p, rank, counts: plan.segmented_reduce_scatter(p, rank, counts, SEGMENT),
        "halving_doubling": plan.halving_reduce_scatter,
    },
    "all_gather": {
        "naive": plan.naive_all_gather, "ring": plan.ring_all_gather, "bruck": plan.bruck_all_gather,
        "recursive_doubling": plan.recursive_doubling_all_gather,
    },
}
# Bruck's algorithm needs blocks of one size.
TO_ALL: dict[str, Formula] = {
    "naive": plan.direct_all_to_all, "pairwise": plan.direct_all_to_all,
    "bruck": lambda p, rank, send_counts: plan.bruck_all_to_all(p, rank, send_counts[0]),
}
FORMULAS = {**ROOTED, **SYMMETRIC, "all_to_all": TO_ALL}


def check(comm: Communicator, formula: plan.CollectiveTraffic, collective: Callable, *arrays: np.ndarray,
          **options: Any) -> None:
    """Run the collective on this rank, and compare the sent messages and float64 elements with the formula.
    """
    counting = Counting(comm)
    collective(counting, *arrays, label="test", **options)
    total = counting.traffic.total()
    counted = plan.CollectiveTraffic(total.messages, total.bytes // 8)
    assert total.bytes % 8 == 0 and counted == formula, (
        f"{collective.__name__} {options} on {comm.size} ranks: rank {comm.rank} sent {counted}, the formula says {formula}"
    )


def check_all_reduce(comm: Communicator, algorithm: str, length: int, formula: Formula) -> None:
    array = shared_array(comm, length, np.float64, label="test") if algorithm == "shared" else np.ones(length)
    check(comm, formula(comm.size, comm.rank, length), all_reduce, array, algorithm=algorithm, out=array)


def test_every_algorithm_has_a_formula() -> None:
    """The traffic of the MPI library's own collectives is not known."""
    assert {operation: set(formulas) for operation, formulas in FORMULAS.items()} == {
        operation: set(algorithms) - {"native"} for operation, algorithms in ALGORITHMS.items()}


@ranks(*RANKS, mpi=(3, 4))
def test_all_reduce(comm: Communicator) -> None:
    for algorithm, formula in SYMMETRIC["all_reduce"].items():
        for length in LENGTHS:
            check_all_reduce(comm, algorithm, length, formula)


@ranks(*RANKS, mpi=(3, 4))
def test_reduce_scatter_and_all_gather(comm: Communicator) -> None:
    p, rank = comm.size, comm.rank
    for counts in [uneven(p), *(even_counts(length, p) for length in LENGTHS)]:
        whole, own = np.ones(sum(counts)), np.ones(counts[rank])
        for name, formula in SYMMETRIC["reduce_scatter"].items():
            check(comm, formula(p, rank, counts), reduce_scatter, whole, counts=counts, algorithm=name)
        for name, formula in SYMMETRIC["all_gather"].items():
            check(comm, formula(p, rank, counts), all_gather, own, counts=counts, algorithm=name)


@ranks(*RANKS, engines=["threads"])
def test_broadcast_reduce_gather_and_scatter(comm: Communicator) -> None:
    p, rank = comm.size, comm.rank
    counts = uneven(p)
    whole, own = np.ones(sum(counts)), np.ones(counts[rank])
    for root in range(p):
        for length in (0, 1, 24, 37):
            for collective in (broadcast, reduce):
                for name, formula in ROOTED[collective.__name__].items():
                    check(comm, formula(p, rank, length, root), collective, np.ones(length), root=root,
                          algorithm=name)
        for name, formula in ROOTED["gather"].items():
            check(comm, formula(p, rank, counts, root), gather, own, counts=counts, root=root, algorithm=name)
        for name, formula in ROOTED["scatter"].items():
            check(comm, formula(p, rank, counts, root), scatter, whole, counts=counts, root=root,
                  algorithm=name)


@ranks(*RANKS, engines=["threads"])
def test_all_to_all(comm: Communicator) -> None:
    p, rank = comm.size, comm.rank
    table = np.random.default_rng(7).integers(0, 4, (p, p))
    send_counts, receive_counts = table[rank].tolist(), table[:, rank].tolist()
    for name, formula in TO_ALL.items():
        check(comm, formula(p, rank, [3] * p), all_to_all, np.ones(3 * p), algorithm=name)
        if name != "bruck":
            check(comm, formula(p, rank, send_counts), all_to_all, np.ones(sum(send_counts)),
                  send_counts=send_counts, receive_counts=receive_counts, algorithm=name)


@ranks(6, 7, 9, engines=["threads"])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_hierarchical_over_nodes(comm: Communicator, width: int) -> None:
    """Nodes of equal and of unequal size, ranks in blocks and in turns; and what crosses between the
    nodes.
    """
    for nodes in ([rank // width for rank in range(comm.size)], [rank % width for rank in range(comm.size)]):
        comm.nodes = tuple(nodes)
        for length in LENGTHS:
            formula = plan.hierarchical_all_reduce(nodes, comm.rank, length)
            check(comm, formula, all_reduce, np.ones(length), algorithm="hierarchical")


def test_what_crosses_between_two_nodes() -> None:
    """Two nodes of two ranks, 40 elements: each rank sends 2 (m - 1)/m n/w = 20 of them to the other node."""
    def body(comm: Communicator) -> dict:
        counting = Counting(comm)
        all_reduce(counting, np.ones(40), label="test", algorithm="hierarchical")
        return {ends: tally.bytes for ends, tally in counting.traffic.between(comm.nodes).items()}

    assert [books[rank // 2, 1 - rank // 2]
            for rank, books in enumerate(run(4, body, nodes=[0, 0, 1, 1]))] == [20 * 8] * 4


@ranks(2, 3, engines=["threads"])
def test_long_arrays_in_segments_and_stages(comm: Communicator) -> None:
    length = 5 * SEGMENT + 3
    for name in ("segmented", "ring"):
        check_all_reduce(comm, name, length, SYMMETRIC["all_reduce"][name])
    all_reduce(comm, np.ones(1), label="test", algorithm="shared")  # makes the stage
    stages = -(-length // (2 * SEGMENT))
    array = np.ones(length)
    counting = Counting(comm)
    counting.staging = comm.staging
    all_reduce(counting, array, label="test", algorithm="shared")
    assert (
        counting.traffic.total().messages
        == plan.shared_all_reduce(comm.size, comm.rank, length, stages).messages
    )


@pytest.mark.parametrize("p", [2, 4, 8])
def test_the_formulas_are_the_textbook_s_where_everything_divides(p: int) -> None:
    n, log = 8 * 9 * 5, p.bit_length() - 1
    for rank in range(p):
        assert plan.ring_all_reduce(p, rank, n) == (2 * (p - 1), 2 * (p - 1) * n // p)
        assert plan.recursive_doubling_all_reduce(p, rank, n) == (log, log * n)
        assert plan.halving_doubling_all_reduce(p, rank, n) == (2 * log, 2 * (p - 1) * n // p)
        assert plan.bruck_all_to_all(p, rank, n // p) == (log, n * log // 2)


@pytest.mark.parametrize("p", RANKS)
def test_the_pieces_are_those_of_array_split(p: int) -> None:
    for n in LENGTHS:
        parts = [len(part) for part in np.array_split(np.empty(n), p)]
        assert [piece(n, p, r) for r in range(p)] == parts == even_counts(n, p)


def test_a_wrong_formula_is_noticed() -> None:
    """The formula of a ring whose ranks send all p pieces, and of one that forgets that the lengths do not
    divide.
    """
    for wrong in (lambda p, rank, n: plan.CollectiveTraffic(2 * p, 2 * n),
                  lambda p, rank, n: plan.CollectiveTraffic(2 * (p - 1), 2 * (p - 1) * n // p)):
        with pytest.raises(AssertionError, match="the formula says"):
            run(3, check_all_reduce, "ring", 37, wrong)


def tells_rank_0_first(channel: Channel, source: np.ndarray, out: np.ndarray,
                       combine: np.ufunc) -> AlgorithmSteps:
    """A ring after one additional message: every rank first sends to rank 0."""
    words = [channel.receive(np.ones(1), rank) for rank in range(channel.size)] if channel.rank == 0 else []
    yield channel.send(np.ones(1), 0)
    yield from words
    yield from ALGORITHMS["all_reduce"]["ring"](channel, source, out, combine)


def test_a_ring_that_sends_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALGORITHMS["all_reduce"], "chatty", tells_rank_0_first)
    with pytest.raises(AssertionError, match="the formula says"):
        run(3, check_all_reduce, "chatty", 37, plan.ring_all_reduce)
