"""Records which algorithms the collectives of a training run use, and tests every algorithm on every group of
ranks.

minipar selects the algorithm of a collective by the size of the array. A short training run has few sizes, so
it would not run every algorithm. Therefore each algorithm is also called once for every group size. These
arrays hold integers, because sums of integers are exact in any order.
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
# numbers of elements; they are not multiples of the number of ranks
SIZES = {"all_reduce": 5003, "reduce_scatter": 211, "all_gather": 211, "broadcast": 211}
LIBRARY = "native"  # MPI's own algorithm; a training run never selects it automatically


class Picks:
    """Stands in for the function `select` while the traffic is predicted, and records the selected
    algorithms.

    seen: a dict, name of a collective -> the algorithms that were selected for it. forced: the algorithm for
    every all-reduce, or "auto" to select one by size.
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
    """Describes the first collective that gives a wrong result in one of this rank's groups. Returns "" if
    all results are right. All ranks of the grid call this function. Groups of equal size behave in the same
    way on every axis. So if several axes have the same size, only the first of them is tested.
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
    """Returns n small whole numbers, float64 [n]. They differ from rank to rank."""
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
