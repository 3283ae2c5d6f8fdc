"""Which collectives the steps went through, and whether every algorithm of them does what it says on these
very groups.

A training takes one algorithm for each size, and a bug in another one would wait for larger sizes. So each is
called once for every size of a group, with an array of whole numbers, whose sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import (
    ALGORITHMS,
    all_gather,
    all_reduce,
    broadcast,
    reduce_scatter,
    select,
)
from minipar.comm.collectives.chunks import even_counts
from minipar.comm.protocol import Communicator
from minipar.parallel.grid import Grid

AXES = ("dp", "pp", "tp")
# elements; no number of ranks divides them
SIZES = {"all_reduce": 5003, "reduce_scatter": 211, "all_gather": 211, "broadcast": 211}
LIBRARY = "native"  # MPI's own, which no training takes by itself


class Picks:
    """Stands in for `select` where traffic is predicted. seen: collective -> the algorithms that were picked.

    forced: of all-reduce; "auto" for none.
    """

    def __init__(self, forced: str):
        self.forced, self.seen = forced, dict[str, set[str]]()

    def __call__(self, operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
        free = (operation != "all_reduce" or self.forced == "auto"
                or self.forced == "hierarchical" and nodes == 1)
        name = select(operation, nbytes, ranks, nodes=nodes) if free else self.forced
        self.seen.setdefault(operation, set()).add(name)
        return name


def wrong_collective(grid: Grid) -> str:
    """The first collective of this rank's groups whose result is wrong, in words; or "". All ranks of the
    grid call it. Groups of one size are alike on all axes, so the first of them stands for the others.
    """
    wrong = ""
    groups = {getattr(grid, axis).size: axis for axis in reversed(AXES)}  # the first axis of each size
    for size, axis in groups.items():
        group = getattr(grid, axis)
        for operation, check in CHECKS.items() if size > 1 else ():
            for algorithm in ALGORITHMS[operation]:
                n = SIZES[operation]
                possible = algorithm != LIBRARY and (algorithm != "shared" or len(set(group.nodes)) == 1)
                if possible and not check(group, n, algorithm):
                    wrong = wrong or f"{operation} by {algorithm} of {n} numbers over {axis}"
    return wrong


def _numbers(rank: int, n: int) -> np.ndarray:
    """Small whole numbers of a rank, float64 [n]; no two ranks have the same."""
    return (np.arange(n) % 11 + 1.0) * (rank + 1)


def _all_reduce(comm: Communicator, n: int, algorithm: str) -> bool:
    got = all_reduce(comm, _numbers(comm.rank, n), label="verify all_reduce", algorithm=algorithm)
    return np.array_equal(got, sum(_numbers(rank, n) for rank in range(comm.size)))


def _reduce_scatter(comm: Communicator, n: int, algorithm: str) -> bool:
    got = reduce_scatter(comm, _numbers(comm.rank, n), label="verify reduce_scatter", algorithm=algorithm)
    counts = even_counts(n, comm.size)
    total = np.sum([_numbers(rank, n) for rank in range(comm.size)], axis=0)
    return np.array_equal(got, total[sum(counts[: comm.rank]):][: counts[comm.rank]])


def _all_gather(comm: Communicator, n: int, algorithm: str) -> bool:
    counts = even_counts(n, comm.size)
    got = all_gather(comm, _numbers(comm.rank, counts[comm.rank]), counts=counts, label="verify all_gather",
                     algorithm=algorithm)
    return np.array_equal(got, np.concatenate([_numbers(rank, count) for rank, count in enumerate(counts)]))


def _broadcast(comm: Communicator, n: int, algorithm: str) -> bool:
    got = broadcast(comm, _numbers(comm.rank, n), root=comm.size - 1, label="verify broadcast",
                    algorithm=algorithm)
    return np.array_equal(got, _numbers(comm.size - 1, n))


CHECKS: dict[str, Callable[[Communicator, int, str], bool]] = {
    "all_reduce": _all_reduce, "reduce_scatter": _reduce_scatter, "all_gather": _all_gather,
    "broadcast": _broadcast,
}
