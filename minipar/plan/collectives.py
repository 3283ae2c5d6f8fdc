"""What each collective sends: messages and elements per rank, as closed forms.

They come from the papers' formulas, made exact for lengths that do not divide, and not from the code that
sends; `Counting` counts what is really sent, and a test holds one against the other. An element count times
the item size gives bytes.

The conventions they rest on: n elements are cut into p pieces as np.array_split does; rank r owns piece r; an
empty piece is still sent, as an empty message. Ranks of a tree count from the root. q is the largest power of
two that is at most p, and e = p - q.

Sources: Thakur, Rabenseifner, Gropp 2005, "Optimization of collective communication operations in MPICH";
Patarasuk and Yuan 2009 for the ring; Bruck et al. 1997.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minipar.plan.arguments import checked
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
    """What one rank sends."""

    messages: int
    elements: int

    def __add__(self, other: CollectiveTraffic) -> CollectiveTraffic:  # type: ignore[override]
        return CollectiveTraffic(self.messages + other.messages, self.elements + other.elements)


NOTHING = CollectiveTraffic(0, 0)


# Broadcast and reduce: n elements, all of them to every rank or from every rank.

@checked
def naive_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """(p - 1) n from the root."""
    return CollectiveTraffic(p - 1, (p - 1) * n) if rank == root else NOTHING


@checked
def tree_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """n to each child: ceil(log2 p) messages from the root. Thakur et al., section 4.1 (short messages)."""
    children = tree_children((rank - root) % p, p)
    return CollectiveTraffic(children, children * n)


@checked
def ring_broadcast(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Scatter and all-gather: about 2 (p - 1)/p n from the root.

    Thakur et al., section 4.1 (long messages, van de Geijn).
    """
    counts = [piece(n, p, r) for r in range(p)]
    return tree_scatter(p, rank, counts, root) + ring_all_gather(p, rank, counts)


@checked
def direct_reduce(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """n once from every rank but the root, through a tree or not: the tree only changes who receives."""
    return NOTHING if rank == root else CollectiveTraffic(1, n)


@checked
def ring_reduce(p: int, rank: int, n: int, root: int = 0) -> CollectiveTraffic:
    """Reduce-scatter and gather: about 2 (p - 1)/p n.

    Thakur et al., section 4.3, with a ring as the first half.
    """
    counts = [piece(n, p, r) for r in range(p)]
    return ring_reduce_scatter(p, rank, counts) + tree_gather(p, rank, counts, root)


# Gather and scatter: counts[r] elements from or to rank r.

@checked
def naive_gather(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    return NOTHING if rank == root else CollectiveTraffic(1, counts[rank])


@checked
def naive_scatter(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    return CollectiveTraffic(p - 1, sum(counts) - counts[root]) if rank == root else NOTHING


@checked
def tree_gather(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    """One message with the pieces of the whole subtree."""
    if rank == root:
        return NOTHING
    v = (rank - root) % p
    return CollectiveTraffic(1, sum(counts[(root + u) % p] for u in range(v, v + tree_size(v, p))))


@checked
def tree_scatter(p: int, rank: int, counts: Sequence[int], root: int = 0) -> CollectiveTraffic:
    """Each child gets the pieces of its subtree, so all pieces of a rank's subtree but its own are sent
    on.
    """
    v = (rank - root) % p
    passed = sum(counts[(root + u) % p] for u in range(v + 1, v + tree_size(v, p)))
    return CollectiveTraffic(tree_children(v, p), passed)


# Reduce-scatter and all-gather: rank r ends or starts with counts[r] of n elements.

@checked
def ring_reduce_scatter(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """Every piece but its own: (p - 1)/p n. Patarasuk and Yuan, section 3."""
    return CollectiveTraffic(p - 1, sum(counts) - counts[rank])


@checked
def ring_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """Every piece but that of its right-hand neighbour, which has it already: (p - 1)/p n.

    Thakur et al., section 3.1.
    """
    return CollectiveTraffic(p - 1, sum(counts) - counts[(rank + 1) % p])


@checked
def segmented_reduce_scatter(p: int, rank: int, counts: Sequence[int], segment: int) -> CollectiveTraffic:
    """As on the ring, in messages of at most `segment` elements: sum over pieces of ceil(piece/segment)."""
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
    """Round k: min(2**k, p - 2**k) pieces, its own first. (p - 1)/p n in ceil(log2 p) messages.

    Bruck et al.; Thakur, 3.1.
    """
    sent = (min(1 << k, p - (1 << k)) for k in range(log2_up(p)))
    return CollectiveTraffic(log2_up(p), sum(counts[(rank + i) % p] for take in sent for i in range(take)))


# Algorithms on pairs of ranks: q ranks are the core; the first 2e ranks fold into e of them.

@checked
def recursive_doubling_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """log2 q messages of n; folding adds one to hand over or to hand back. Thakur et al., section 4.5."""
    _, rounds, e = core(p)
    if core_rank(p, rank) is None:
        return CollectiveTraffic(1, n)
    messages = rounds + (rank < 2 * e)
    return CollectiveTraffic(messages, messages * n)


@checked
def recursive_doubling_all_gather(p: int, rank: int, counts: Sequence[int]) -> CollectiveTraffic:
    """log2 q messages with the blocks of the core; folding adds one with the own piece, or one with
    everything.
    """
    q, rounds, e = core(p)
    v = core_rank(p, rank)
    if v is None:
        return CollectiveTraffic(1, counts[rank])
    swapped = CollectiveTraffic(rounds, blocks_sent(q, v, core_counts(p, counts)))
    return swapped + CollectiveTraffic(1, sum(counts)) if rank < 2 * e else swapped


@checked
def halving_doubling_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """Rabenseifner: 2 log2 q messages; halving sends all but the own piece of q, doubling the blocks.

    Thakur et al., 4.5.
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
    """log2 q messages with all but the own piece of the core; folding adds one with everything, or the
    partner's piece.
    """
    _, rounds, e = core(p)
    v, n = core_rank(p, rank), sum(counts)
    if v is None:
        return CollectiveTraffic(1, n)
    halved = CollectiveTraffic(rounds, n - core_counts(p, counts)[v])
    return halved + CollectiveTraffic(1, counts[rank - 1]) if rank < 2 * e else halved


# All-reduce of n elements.

@checked
def naive_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    return direct_reduce(p, rank, n) + naive_broadcast(p, rank, n)


@checked
def tree_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    return direct_reduce(p, rank, n) + tree_broadcast(p, rank, n)


@checked
def ring_all_reduce(p: int, rank: int, n: int) -> CollectiveTraffic:
    """2 (p - 1)/p n, in 2 (p - 1) messages. Patarasuk and Yuan 2009, which also shows that no algorithm sends
    less.

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
    """Ring within the node, ring along the lane, ring within the node. nodes: the node of each rank.

    With m nodes of w ranks: 2 (w - 1)/w n within, 2 (m - 1)/m n/w between nodes. Thakur et al., section 6.
    """
    mates = [r for r, node in enumerate(nodes) if node == nodes[rank]]
    width = min(list(nodes).count(node) for node in nodes)
    local_rank, w, m = mates.index(rank), len(mates), len(set(nodes))
    counts = [piece(n, width, r) if r < width else 0 for r in range(w)]
    within = ring_reduce_scatter(w, local_rank, counts) + ring_all_gather(w, local_rank, counts)
    if local_rank >= width:
        return within
    lane = list(dict.fromkeys(nodes)).index(nodes[rank])
    return within + ring_all_reduce(m, lane, counts[local_rank])


@checked
def shared_all_reduce(p: int, rank: int, n: int, stages: int = 1) -> CollectiveTraffic:
    """Three barriers, and no element in a message; as often as an array that is not shared must pass through
    the stage.
    """
    return CollectiveTraffic(3 * log2_up(p) * stages, 0)


# All-to-all: gives[r] elements for rank r.

@checked
def direct_all_to_all(p: int, rank: int, gives: Sequence[int]) -> CollectiveTraffic:
    """Every block once, pairwise or all at once: (p - 1)/p n. Thakur et al., section 3.2."""
    return CollectiveTraffic(p - 1, sum(gives) - gives[rank])


@checked
def bruck_all_to_all(p: int, rank: int, block: int) -> CollectiveTraffic:
    """A block for rank + d is sent once per set bit of d: n/2 ceil(log2 p) in all if p is a power of two.
    Bruck et al.
    """
    return CollectiveTraffic(log2_up(p), block * sum(d.bit_count() for d in range(p)))
