"""Defines closed forms for the traffic of each collective: the messages and elements that one rank sends.

The formulas come from papers, and are exact even if p does not divide n. The sending code does not use the
formulas. `Counting` counts the real messages, and tests compare both. Bytes are elements times item size.

Conventions: n elements are divided into p pieces as np.array_split does. Rank r owns piece r. An empty piece
is sent as an empty message. The ranks of a tree are numbered from the root. q is the largest power of two
that is at most p, and e = p - q.

Sources: Thakur, Rabenseifner, Gropp 2005, "Optimization of collective communication operations in MPICH";
Patarasuk and Yuan 2009 for the ring; Bruck et al. 1997.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipar.plan.arguments import checked, require_row, require_whole
from minipar.plan.pieces import (
    blocks_sent,
    core,
    core_counts,
    core_rank,
    log2_up,
    piece,
    tree_children,
    tree_size,
)


class CollectiveTraffic(NamedTuple):
    """Holds the number of messages and of elements that one rank sends."""

    messages: int
    elements: int

    def __add__(self, other: CollectiveTraffic) -> CollectiveTraffic:  # type: ignore[override]
        return CollectiveTraffic(self.messages + other.messages, self.elements + other.elements)


NOTHING = CollectiveTraffic(0, 0)


# Broadcast sends n elements from the root to every rank. Reduce sends n elements from every rank to the root.

@checked
def naive_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """The root sends n elements to each of p - 1 ranks."""
    return CollectiveTraffic(p - 1, (p - 1) * n) if rank == root else NOTHING


@checked
def tree_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Each rank sends n elements to each of its children. The root has ceil(log2 p) children.

    Thakur et al., section 4.1 (short messages).
    """
    children = tree_children((rank - root) % p, p)
    return CollectiveTraffic(children, children * n)


@checked
def ring_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Does a scatter, then an all-gather. The root sends about 2 (p - 1)/p n elements.

    Thakur et al., section 4.1 (long messages, van de Geijn).
    """
    counts = [piece(n, p, r) for r in range(p)]
    return tree_scatter(p, rank, counts, root) + ring_all_gather(p, rank, counts)


@checked
def direct_reduce(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Every rank except the root sends n elements once. In a tree, only the receivers differ."""
    return NOTHING if rank == root else CollectiveTraffic(1, n)


@checked
def ring_reduce(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Does a reduce-scatter, then a gather. A rank sends about 2 (p - 1)/p n elements.

    Thakur et al., section 4.3. Here a ring does the reduce-scatter.
    """
    counts = [piece(n, p, r) for r in range(p)]
    return ring_reduce_scatter(p, rank, counts) + tree_gather(p, rank, counts, root)


# A gather sends counts[r] elements from rank r to the root. A scatter sends counts[r] elements to rank r.

@checked
def naive_gather(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    return NOTHING if rank == root else CollectiveTraffic(1, counts[rank])


@checked
def naive_scatter(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    return CollectiveTraffic(p - 1, sum(counts) - counts[root]) if rank == root else NOTHING


@checked
def tree_gather(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    """Each rank except the root sends one message with the pieces of its whole subtree."""
    if rank == root:
        return NOTHING
    v = (rank - root) % p
    return CollectiveTraffic(1, sum(counts[(root + u) % p] for u in range(v, v + tree_size(v, p))))


@checked
def tree_scatter(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    """Each child receives the pieces of its subtree, so a rank sends its subtree's pieces except its own."""
    v = (rank - root) % p
    passed = sum(counts[(root + u) % p] for u in range(v + 1, v + tree_size(v, p)))
    return CollectiveTraffic(tree_children(v, p), passed)


# Rank r has counts[r] elements at the end of a reduce-scatter, and at the start of an all-gather.

@checked
def ring_reduce_scatter(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """Each rank sends every piece except its own: (p - 1)/p n elements. Patarasuk and Yuan, section 3."""
    return CollectiveTraffic(p - 1, sum(counts) - counts[rank])


@checked
def ring_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """Each rank sends every piece except its right neighbour's piece: (p - 1)/p n elements.

    Thakur et al., section 3.1.
    """
    return CollectiveTraffic(p - 1, sum(counts) - counts[(rank + 1) % p])


@checked
def segmented_reduce_scatter(p: int, rank: int, counts: Sequence[int], segment: int) -> CollectiveTraffic:
    """The ring sends messages of at most `segment` elements. A piece takes ceil(piece/segment) messages."""
    messages = sum(max(1, -(-count // segment)) for r, count in enumerate(counts) if r != rank)
    return CollectiveTraffic(messages, sum(counts) - counts[rank])


@checked
def naive_reduce_scatter(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    return direct_reduce(p, rank, sum(counts)) + naive_scatter(p, rank, counts)


@checked
def naive_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    return naive_gather(p, rank, counts) + naive_broadcast(p, rank, sum(counts))


@checked
def bruck_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """In round k, a rank sends min(2**k, p - 2**k) pieces, beginning with its own.

    A rank sends (p - 1)/p n elements in ceil(log2 p) messages. Bruck et al.; Thakur et al., section 3.1.
    """
    sent = (min(1 << k, p - (1 << k)) for k in range(log2_up(p)))
    return CollectiveTraffic(log2_up(p), sum(counts[(rank + i) % p] for take in sent for i in range(take)))


# In the next algorithms, the core has q ranks. Each of the e outside ranks has a partner in the core
# (pieces.py). An outside rank first sends its input to its partner, and receives the result at the end.

@checked
def recursive_doubling_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """A core rank sends log2 q messages of n elements, and one more if it has a partner.

    An outside rank sends one message.

    Thakur et al., section 4.5.
    """
    _, rounds, e = core(p)
    if core_rank(p, rank) is None:
        return CollectiveTraffic(1, n)
    messages = rounds + (rank < 2 * e)
    return CollectiveTraffic(messages, messages * n)


@checked
def recursive_doubling_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """A core rank sends log2 q messages with blocks of pieces. If it has a partner, it also sends all pieces.

    An outside rank sends its own piece once.
    """
    q, rounds, e = core(p)
    v = core_rank(p, rank)
    if v is None:
        return CollectiveTraffic(1, counts[rank])
    swapped = CollectiveTraffic(rounds, blocks_sent(q, v, core_counts(p, counts)))
    return swapped + CollectiveTraffic(1, sum(counts)) if rank < 2 * e else swapped


@checked
def halving_doubling_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """Rabenseifner: a core rank sends 2 log2 q messages. If it has a partner, it also sends n elements.

    The n elements are divided into q pieces. The halving phase sends all pieces except the rank's own. The
    doubling phase sends the blocks of `blocks_sent`. An outside rank sends n elements. Thakur et al., 4.5.
    """
    q, rounds, e = core(p)
    v = core_rank(p, rank)
    if v is None:
        return CollectiveTraffic(1, n)
    counts = [piece(n, q, r) for r in range(q)]
    swapped = CollectiveTraffic(2 * rounds, n - counts[v] + blocks_sent(q, v, counts))
    return swapped + CollectiveTraffic(1, n) if rank < 2 * e else swapped


@checked
def halving_reduce_scatter(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """A core rank sends log2 q messages, which contain all pieces of the core except its own.

    If it has a partner, it also sends the partner's piece. An outside rank sends all n elements once.
    """
    _, rounds, e = core(p)
    v, n = core_rank(p, rank), sum(counts)
    if v is None:
        return CollectiveTraffic(1, n)
    halved = CollectiveTraffic(rounds, n - core_counts(p, counts)[v])
    return halved + CollectiveTraffic(1, counts[rank - 1]) if rank < 2 * e else halved


# The all-reduces have n elements.

@checked
def naive_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    return direct_reduce(p, rank, n) + naive_broadcast(p, rank, n)


@checked
def tree_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    return direct_reduce(p, rank, n) + tree_broadcast(p, rank, n)


@checked
def ring_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """Each rank sends 2 (p - 1)/p n in 2 (p - 1) messages. Patarasuk and Yuan 2009 prove that no algorithm
    sends less.

    >>> ring_all_reduce(4, 0, 1000)
    CollectiveTraffic(messages=6, elements=1500)
    """
    return CollectiveTraffic(2 * (p - 1), 2 * n
                             - piece(n, p, rank) - piece(n, p, rank + 1)) if p > 1 else NOTHING


@checked
def segmented_all_reduce(p: int, rank: int, n: int, segment: int) -> CollectiveTraffic:
    counts = [piece(n, p, r) for r in range(p)]
    return segmented_reduce_scatter(p, rank, counts, segment) + ring_all_gather(p, rank, counts)


@checked
def hierarchical_all_reduce(nodes: Sequence[int], rank: int, n: int) -> CollectiveTraffic:
    """Does a ring reduce-scatter within each node, a ring all-reduce between nodes, and a ring all-gather
    within each node.

    nodes: the node of each rank. A lane is the group of ranks with the same local rank, one per node. With m
    nodes of w ranks, a rank sends 2 (w - 1)/w n elements within its node, and 2 (m - 1)/m n/w between nodes.
    Thakur et al., section 6.
    """
    require_row("nodes", nodes)
    require_whole("rank", rank, 0, len(nodes) - 1)
    same_node = [r for r, node in enumerate(nodes) if node == nodes[rank]]
    width = min(list(nodes).count(node) for node in nodes)
    local_rank, w, m = same_node.index(rank), len(same_node), len(set(nodes))
    counts = [piece(n, width, r) if r < width else 0 for r in range(w)]
    within = ring_reduce_scatter(w, local_rank, counts) + ring_all_gather(w, local_rank, counts)
    if local_rank >= width:
        return within
    lane = list(dict.fromkeys(nodes)).index(nodes[rank])
    return within + ring_all_reduce(m, lane, counts[local_rank])


@checked
def shared_all_reduce(p: int, rank: int, n: int, stages: int = 1) -> CollectiveTraffic:
    """Each stage has three barriers with empty messages. The data pass through shared memory.

    stages: how many times the array passes through the shared buffer.
    """
    return CollectiveTraffic(3 * log2_up(p) * stages, 0)


# In an all-to-all, a rank sends send_counts[r] elements to rank r.

@checked
def direct_all_to_all(p: int, rank: int, send_counts: Sequence[int]) -> CollectiveTraffic:
    """A rank sends each block directly to its receiver: (p - 1)/p n elements. The naive and the pairwise
    algorithm both do this. Thakur et al., section 3.2.
    """
    return CollectiveTraffic(p - 1, sum(send_counts) - send_counts[rank])


@checked
def bruck_all_to_all(p: int, rank: int, block: int) -> CollectiveTraffic:
    """The block for rank `rank + d` is sent once for each set bit of d. If p is a power of two, a rank sends
    n/2 log2 p elements in total. Bruck et al.
    """
    return CollectiveTraffic(log2_up(p), block * sum(d.bit_count() for d in range(p)))
