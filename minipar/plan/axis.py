"""Computes the traffic of one rank in one collective along an axis of the grid.

The result comes from the closed form of the collective's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from minipar.errors import LayoutError
from minipar.plan import collectives as forms
from minipar.plan.amounts import SentTotals, TrafficLine
from minipar.plan.collective_times import SEGMENT_BYTES
from minipar.plan.collectives import CollectiveTraffic
from minipar.plan.pieces import piece


class Pick(Protocol):
    """The interface of functions that choose the algorithm of a collective, such as
    `minipar.comm.collectives.select`.
    """

    def __call__(self, operation: str, nbytes: int, ranks: int, *, nodes: int) -> str: ...


# Operation -> algorithm -> closed form. The arguments of broadcast and all_reduce are (ranks, rank,
# elements). The arguments of the other operations are (ranks, rank, [elements of each rank]).
FORMS: dict[str, dict[str, Callable[..., CollectiveTraffic]]] = {
    "broadcast": {"naive": forms.naive_broadcast, "tree": forms.tree_broadcast, "ring": forms.ring_broadcast},
    "all_reduce": {
        "naive": forms.naive_all_reduce, "tree": forms.tree_all_reduce, "ring": forms.ring_all_reduce,
        "segmented": forms.segmented_all_reduce, "recursive_doubling": forms.recursive_doubling_all_reduce,
        "halving_doubling": forms.halving_doubling_all_reduce,
    },
    "reduce_scatter": {
        "naive": forms.naive_reduce_scatter, "ring": forms.ring_reduce_scatter,
        "segmented": forms.segmented_reduce_scatter, "halving_doubling": forms.halving_reduce_scatter,
    },
    "all_gather": {
        "naive": forms.naive_all_gather, "ring": forms.ring_all_gather, "bruck": forms.bruck_all_gather,
        "recursive_doubling": forms.recursive_doubling_all_gather,
    },
}


@dataclass(frozen=True)
class AxisTraffic:
    """Describes one rank and its group along an axis. rank: the number of this rank within the group. nodes:
    the node of each rank of the group.
    """

    name: str
    rank: int
    nodes: tuple[int, ...]
    pick: Pick

    @property
    def size(self) -> int:
        return len(self.nodes)

    def shares(self, n: int) -> list[int]:
        return [piece(n, self.size, rank) for rank in range(self.size)]

    def all_reduce(self, elements: int, itemsize: int, label: str, op: str = "sum", *,
                   copies: bool = False) -> tuple[TrafficLine, SentTotals]:
        """Returns the traffic of an all-reduce. copies: true if other groups reduce replicas of the same
        array. In this case the algorithm must depend only on the size, not on the nodes.
        """
        return self._call("all_reduce", f"all_reduce {op}", elements, elements, itemsize, label, copies)

    def all_reduce_in_shared_memory(self, elements: int, label: str) -> tuple[TrafficLine, SentTotals]:
        """Returns the traffic of an all-reduce of an array in shared memory: three barriers with empty
        messages.
        """
        sent = forms.shared_all_reduce(self.size, self.rank, elements)
        return TrafficLine(self.name, "all_reduce sum", label), SentTotals(1, sent.messages, 0)

    def broadcast(self, elements: int, itemsize: int, label: str) -> tuple[TrafficLine, SentTotals]:
        return self._call("broadcast", "broadcast", elements, elements, itemsize, label)

    def reduce_scatter(self, counts: list[int], itemsize: int, label: str) -> tuple[TrafficLine, SentTotals]:
        return self._call("reduce_scatter", "reduce_scatter sum", counts, sum(counts), itemsize, label)

    def all_gather(self, counts: list[int], itemsize: int, label: str) -> tuple[TrafficLine, SentTotals]:
        return self._call("all_gather", "all_gather", counts, sum(counts), itemsize, label)

    def _call(self, operation: str, op: str, what: int | list[int], elements: int, itemsize: int,
              label: str, copies: bool = False) -> tuple[TrafficLine, SentTotals]:
        algorithm = self.pick(operation, elements * itemsize, self.size,
                              nodes=1 if copies else len(set(self.nodes)))
        if algorithm == "hierarchical":
            sent = forms.hierarchical_all_reduce(self.nodes, self.rank, elements)
        elif algorithm in FORMS[operation]:
            segment = [max(1, SEGMENT_BYTES // itemsize)] if algorithm == "segmented" else []
            sent = FORMS[operation][algorithm](self.size, self.rank, what, *segment)
        else:
            raise LayoutError(f"there is no formula for the traffic of {operation} with the algorithm "
                              f"'{algorithm}'; choose {', '.join(FORMS[operation])}")
        return TrafficLine(self.name, op, label), SentTotals(1, sent.messages, sent.elements * itemsize)
