"""The graphs of Create_graph and Create_dist_graph.

Example: a ring of 3 ranks, each with its two neighbours, has the index [2, 4, 6] and the edges [2, 1, 0, 2,
1, 0]. The neighbours of rank 1 are edges[2:4], which are ranks 0 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minipar.mpi4py_face.constants import DIST_GRAPH, GRAPH
from minipar.mpi4py_face.exceptions import wrong


class Weights(int):
    """The class of MPI.UNWEIGHTED and MPI.WEIGHTS_EMPTY."""

    def __repr__(self) -> str:
        return "UNWEIGHTED" if self == UNWEIGHTED else "WEIGHTS_EMPTY"

    def __reduce__(self) -> str:
        return repr(self)


UNWEIGHTED, WEIGHTS_EMPTY = Weights(10), Weights(11)


@dataclass(frozen=True)
class Graph:
    """A whole graph, for Create_graph: every rank has all edges. index: the end of each rank's part of
    `edges`.
    """

    index: tuple[int, ...]
    edges: tuple[int, ...]

    kind = GRAPH

    @classmethod
    def of(cls, index: Sequence[int], edges: Sequence[int]) -> Graph:
        """Make a graph. `index` may also begin with a 0, as adjacency arrays usually do. Raises MPIError if
        `index` and `edges` do not fit together.
        """
        ends, to = tuple(int(end) for end in index), tuple(int(rank) for rank in edges)
        if ends and ends[0] == 0 and ends[-1] == len(to):
            ends = ends[1:]
        if list(ends) != sorted(ends) or (ends[-1] if ends else 0) != len(to):
            raise wrong("ERR_ARG", f"index {list(ends)} must not fall, and must end with {len(to)} edges")
        if bad := [rank for rank in to if not 0 <= rank < len(ends)]:
            raise wrong("ERR_ARG", f"edges name ranks {bad}, but the graph has ranks 0 to {len(ends) - 1}")
        return cls(ends, to)

    @property
    def size(self) -> int:
        return len(self.index)

    def neighbours(self, rank: int) -> list[int]:
        start = self.index[rank - 1] if rank else 0
        return list(self.edges[start:self.index[rank]])

    def sources(self, rank: int) -> list[int]:
        return self.neighbours(rank)

    destinations = sources


@dataclass(frozen=True)
class DistGraph:
    """One rank's part of a graph: the ranks that send to this rank, the ranks to which it sends, and the
    weights.
    """

    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]
    weights: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    kind = DIST_GRAPH

    def sources(self, rank: int) -> list[int]:
        return list(self.incoming)

    def destinations(self, rank: int) -> list[int]:
        return list(self.outgoing)


def weights_of(given: Any, edges: int) -> tuple[int, ...] | None:
    """Returns one weight for each edge; None for a graph without weights. Raises ValueError for a wrong
    number of weights.
    """
    if given is None or isinstance(given, Weights) and given == UNWEIGHTED:
        return None
    weights = () if isinstance(given, Weights) else tuple(int(weight) for weight in given)
    if len(weights) != edges:
        raise ValueError(f"expecting {edges} weights, one for each edge, got {len(weights)}")
    return weights


def adjacent(sources: Sequence[int] | None, destinations: Sequence[int] | None, source_weights: Any,
             weights: Any, size: int) -> DistGraph:
    """Make this rank's part of a graph from the rank's own edges."""
    incoming, outgoing = tuple(sources or ()), tuple(destinations or ())
    if bad := [rank for rank in (*incoming, *outgoing) if not 0 <= rank < size]:
        raise wrong("ERR_RANK", f"edges name ranks {bad}, but the group has ranks 0 to {size - 1}")
    each = weights_of(source_weights, len(incoming)), weights_of(weights, len(outgoing))
    return DistGraph(incoming, outgoing, None if each == (None, None) else (each[0] or (), each[1] or ()))


GraphEdge = tuple[int, int, int]                                         # (from, to, weight)


def edges_of(sources: Sequence[int], degrees: Sequence[int], destinations: Sequence[int],
             weights: Any) -> tuple[list[GraphEdge], bool]:
    """Returns (the edges that one rank passes, whether they have weights). degrees: the number of edges from
    each source.
    """
    origins = [int(source) for source, degree in zip(sources, degrees, strict=True) for _ in range(degree)]
    if len(origins) != len(destinations):
        raise ValueError(f"degrees {list(degrees)} need {len(origins)} destinations, got {len(destinations)}")
    each = weights_of(weights, len(origins))
    numbers = [1] * len(origins) if each is None else each
    return list(zip(origins, map(int, destinations), numbers, strict=True)), each is not None


def part_of(edges: Sequence[GraphEdge], rank: int, weighted: bool) -> DistGraph:
    """Make a rank's part of a graph from the edges of all ranks."""
    comes = [(source, weight) for source, dest, weight in edges if dest == rank]
    goes = [(dest, weight) for source, dest, weight in edges if source == rank]
    weights = tuple(weight for _, weight in comes), tuple(weight for _, weight in goes)
    return DistGraph(tuple(source for source, _ in comes), tuple(dest for dest, _ in goes),
                     weights if weighted else None)
