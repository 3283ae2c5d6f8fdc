"""The time of a collective on a group of a cluster's ranks.

tp is the fastest axis of the grid, then dp, then pp. So the ranks of a group along an axis are `stride`
apart: 1 for tp, tp for dp, tp * dp for pp. Within a node they use its links. A group on several nodes first
sums within each node, and each of its ranks there then sums its part over the nodes (Thakur, Rabenseifner and
Gropp 2005, section 6; Mikami et al. 2018).
"""

from __future__ import annotations

from functools import lru_cache

from minipar.plan.collective_times import TIMES
from minipar.plan.machine import Link, Machine


@lru_cache(maxsize=1 << 16)
def on_one_link(operation: str, p: int, nbytes: float, link: Link) -> float:
    """Seconds of the fastest algorithm on p ranks that are connected by equal links."""
    if p == 1 or not nbytes:
        return 0.0
    return float(min(time(p, nbytes, link.times) for time in TIMES[operation].values()))


def members_per_node(p: int, stride: int, machine: Machine) -> int:
    """How many ranks of a group of p share a node.

    >>> from minipar.plan.machine import machine
    >>> [members_per_node(16, stride, machine("a100-80g")) for stride in (1, 2, 8)]   # nodes of 8 ranks
    [8, 4, 1]
    """
    return min(p, max(1, machine.per_node // stride))


@lru_cache(maxsize=1 << 16)
def collective(operation: str, p: int, nbytes: float, stride: int, machine: Machine) -> float:
    """Seconds of all_reduce, reduce_scatter or all_gather of `nbytes` on p ranks that are `stride` apart."""
    together = members_per_node(p, stride, machine)
    nodes = -(-p // together)
    seconds = on_one_link(operation, together, nbytes, machine.within)
    return seconds + on_one_link(operation, nodes, nbytes / together, machine.between)


def neighbour(nbytes: float, stride: int, p: int, machine: Machine) -> float:
    """Seconds of a message to the next rank along an axis of p ranks, `stride` apart."""
    link = machine.within if stride * p <= machine.per_node else machine.between
    return link.latency + nbytes / link.bandwidth
