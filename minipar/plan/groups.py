"""Computes the time of a collective on a group of a cluster's ranks.

tp is the fastest axis of the grid, then dp, then pp. So the world ranks of two neighbours in a group differ
by `stride`: 1 for tp, tp for dp, tp * dp for pp. Ranks on one node use the links within the node. A group on
several nodes first sums within each node. Then each rank of a node sums its part over the nodes (Thakur,
Rabenseifner and Gropp 2005, section 6; Mikami et al. 2018).
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from functools import lru_cache

from minipar.plan.collective_times import TIMES
from minipar.plan.machine import Link, Machine


@lru_cache(maxsize=1 << 16)
def on_one_link(operation: str, p: int, nbytes: float, link: Link) -> float:
    """Returns the seconds of the fastest algorithm on p ranks with equal links."""
    if p == 1 or not nbytes:
        return 0.0
    return float(min(time(p, nbytes, link.times) for time in TIMES[operation].values()))


def members_per_node(p: int, stride: int, machine: Machine) -> int:
    """Returns how many ranks of a group of p ranks are on the same node.

    >>> from minipar.plan.machine import machine
    >>> [members_per_node(16, stride, machine("a100-80g")) for stride in (1, 2, 8)]   # nodes of 8 ranks
    [8, 4, 1]
    """
    return min(p, max(1, machine.per_node // stride))


@lru_cache(maxsize=1 << 16)
def collective(operation: str, p: int, nbytes: float, stride: int, machine: Machine) -> float:
    """Returns the seconds of all_reduce, reduce_scatter or all_gather of `nbytes` on p ranks. The world ranks
    of two neighbours differ by `stride`.
    """
    together = members_per_node(p, stride, machine)
    nodes = -(-p // together)
    seconds = on_one_link(operation, together, nbytes, machine.within)
    return seconds + on_one_link(operation, nodes, nbytes / together, machine.between)


def neighbour(nbytes: float, stride: int, p: int, machine: Machine) -> float:
    """Returns the seconds of a message to the next rank along an axis of p ranks. The world ranks of two
    neighbours differ by `stride`.
    """
    link = machine.within if stride * p <= machine.per_node else machine.between
    return link.latency + nbytes / link.bandwidth
