"""How long a collective takes, by the alpha-beta-gamma model: what `auto` chooses by, and what the clock is
held against.

A message of n bytes takes alpha + n beta; a rank sends one message at a time and receives one at a time, both
at once; adding n bytes takes n gamma. The formulas are those of Thakur, Rabenseifner, Gropp 2005 (T below,
with the section) unless another source is named. They hold exactly where p is a power of two and divides n,
and on rings for every p that divides n.

n is the array's whole size in bytes: all ranks' pieces together for a gather, a scatter or an all-gather, one
rank's array for the others. Fractions for alpha, beta and gamma give exact fractions of seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minipar.plan.arguments import checked, require_amount
from minipar.plan.pieces import log2_up
from minipar.records import Number


@dataclass(frozen=True)
class Links:
    """alpha: seconds per message. beta: seconds per byte. gamma: seconds per byte of an addition.

    Raises LayoutError for negative ones, infinity and NaN.
    """

    alpha: Number
    beta: Number
    gamma: Number = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            require_amount(name, getattr(self, name))


SEGMENT_BYTES = 1 << 20             # of the segmented ring


@checked
def naive_broadcast(p: int, n: Number, net: Links) -> Number:
    """The root sends p - 1 times."""
    return (p - 1) * (net.alpha + n * net.beta)


@checked
def naive_reduce(p: int, n: Number, net: Links) -> Number:
    """The root receives p - 1 times, and adds one array while the next one comes.

    The first message and the last addition have nothing beside them; of the p - 2 pairs between, the slower
    one counts.
    """
    if p == 1:
        return 0 * net.alpha
    message, addition = net.alpha + n * net.beta, n * net.gamma
    return message + (p - 2) * max(message, addition) + addition


@checked
def naive_all_reduce(p: int, n: Number, net: Links) -> Number:
    return naive_reduce(p, n, net) + naive_broadcast(p, n, net)


@checked
def naive_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    return naive_reduce(p, n, net) + naive_scatter(p, n, net)


@checked
def naive_scatter(p: int, n: Number, net: Links) -> Number:
    """The root sends, or for a gather receives, p - 1 pieces."""
    return (p - 1) * net.alpha + n * net.beta * (p - 1) / p


@checked
def naive_all_gather(p: int, n: Number, net: Links) -> Number:
    return naive_scatter(p, n, net) + naive_broadcast(p, n, net)


@checked
def tree_broadcast(p: int, n: Number, net: Links) -> Number:
    """T 4.1: ceil(log2 p) rounds with the whole array."""
    return log2_up(p) * (net.alpha + n * net.beta)


@checked
def tree_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.3."""
    return log2_up(p) * (net.alpha + n * net.beta + n * net.gamma)


@checked
def tree_all_reduce(p: int, n: Number, net: Links) -> Number:
    return tree_reduce(p, n, net) + tree_broadcast(p, n, net)


@checked
def tree_scatter(p: int, n: Number, net: Links) -> Number:
    """T 4.1: halves, quarters, ... of the array; (p - 1)/p of it in all. The same for a gather."""
    return log2_up(p) * net.alpha + n * net.beta * (p - 1) / p


@checked
def ring_all_gather(p: int, n: Number, net: Links) -> Number:
    """T 3.1: p - 1 steps with one p-th each."""
    return (p - 1) * (net.alpha + n * net.beta / p)


@checked
def ring_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """Patarasuk and Yuan 2009, section 3."""
    return ring_all_gather(p, n, net) + n * net.gamma * (p - 1) / p


@checked
def ring_all_reduce(p: int, n: Number, net: Links) -> Number:
    """2 (p - 1) (alpha + n/p beta) + (p - 1)/p n gamma. Patarasuk and Yuan 2009."""
    return ring_reduce_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def ring_broadcast(p: int, n: Number, net: Links) -> Number:
    """T 4.1 (long messages): scatter, then all-gather."""
    return tree_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def ring_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.3 (long messages), with a ring as the first half."""
    return ring_reduce_scatter(p, n, net) + tree_scatter(p, n, net)


@checked
def segmented_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """The ring with s segments per piece: s alphas per step, and only the last segment's addition is waited
    for.
    """
    segments = max(1, -(-n // (p * SEGMENT_BYTES)))
    return (p - 1) * (segments * net.alpha + n * net.beta / p + n * net.gamma / (p * segments))


@checked
def segmented_all_reduce(p: int, n: Number, net: Links) -> Number:
    return segmented_reduce_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def folded(p: int) -> int:
    """1 if p is no power of two: then some ranks fold, which costs two more messages (T 4.5)."""
    return int(p & (p - 1) != 0)


@checked
def recursive_doubling_all_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.5: log2 p rounds with the whole array."""
    rounds = p.bit_length() - 1
    return (rounds + 2 * folded(p)) * (net.alpha + n * net.beta) + (rounds + folded(p)) * n * net.gamma


@checked
def swapped_pieces(p: int) -> int:
    """How many of p pieces the busiest core rank sends in all rounds: p - 1, or more where pieces are folded
    in pairs.

    In a round with blocks of b core ranks, the largest block is the first: min(b, e) of its ranks stand for
    two pieces each.
    """
    q = 1 << (p.bit_length() - 1)
    return sum((1 << k) + min(1 << k, p - q) for k in range(p.bit_length() - 1))


@checked
def recursive_doubling_all_gather(p: int, n: Number, net: Links) -> Number:
    """T 3.1: log2 p rounds, (p - 1)/p of the array.

    Folding: one piece to hand over, everything to hand back.
    """
    fold = 2 * net.alpha + n * net.beta / p + n * net.beta
    return (p.bit_length() - 1) * net.alpha + n * net.beta * swapped_pieces(p) / p + folded(p) * fold


@checked
def halving_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """T 4.2 (recursive halving): log2 p rounds, (p - 1)/p of the array.

    Folding: everything over, one piece back.
    """
    fold = 2 * net.alpha + n * net.beta + n * net.beta / p + n * net.gamma
    return (p.bit_length() - 1) * net.alpha + n * (net.beta
                                                   + net.gamma) * swapped_pieces(p) / p + folded(p) * fold


@checked
def halving_doubling_all_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.5 (Rabenseifner): 2 log2 p alpha + 2 (p - 1)/p n beta + (p - 1)/p n gamma."""
    rounds, q = p.bit_length() - 1, 1 << (p.bit_length() - 1)
    fold = 2 * (net.alpha + n * net.beta) + n * net.gamma
    return 2 * rounds * net.alpha + n * (2 * net.beta + net.gamma) * (q - 1) / q + folded(p) * fold


@checked
def bruck_all_gather(p: int, n: Number, net: Links) -> Number:
    """T 3.1 (Bruck): any p in ceil(log2 p) rounds."""
    return log2_up(p) * net.alpha + n * net.beta * (p - 1) / p


@checked
def pairwise_all_to_all(p: int, n: Number, net: Links) -> Number:
    """T 3.2: p - 1 messages of one p-th."""
    return ring_all_gather(p, n, net)


@checked
def naive_all_to_all(p: int, n: Number, net: Links) -> Number:
    """Everyone sends to rank p - 1 last, at the same time: there p - 1 messages queue up when p - 2 steps
    have passed.
    """
    return max(0, 2 * p - 3) * (net.alpha + n * net.beta / p)


@checked
def bruck_all_to_all(p: int, n: Number, net: Links) -> Number:
    """T 3.2 (Bruck): in round k, the blocks whose distance has bit k; n/2 in each round if p is a power of
    two.
    """
    return log2_up(p) * net.alpha + n * net.beta * sum(d.bit_count() for d in range(p)) / p


@checked
def hierarchical_all_reduce(nodes: int, width: int, n: Number, within: Links, between: Links) -> Number:
    """Rings over the `width` ranks of a node and, on an n/width-th, over the nodes: T 6, in lanes (Mikami et
    al. 2018).
    """
    return ring_all_reduce(width, n, within) + ring_all_reduce(nodes, n / width, between)


@checked
def shared_all_reduce(p: int, n: Number, net: Links) -> Number:
    """Three barriers, and memory at the speed of additions: (p - 1)/p n is added and as much is copied."""
    return 3 * log2_up(p) * net.alpha + 2 * n * net.gamma * (p - 1) / p


# Operation -> algorithm -> time; between equals, the one named first is taken.
TIMES: dict[str, dict[str, Callable[[int, Number, Links], Number]]] = {
    "broadcast": {"tree": tree_broadcast, "ring": ring_broadcast, "naive": naive_broadcast},
    "reduce": {"tree": tree_reduce, "ring": ring_reduce, "naive": naive_reduce},
    "all_reduce": {
        "recursive_doubling": recursive_doubling_all_reduce, "halving_doubling": halving_doubling_all_reduce,
        "ring": ring_all_reduce, "segmented": segmented_all_reduce, "tree": tree_all_reduce,
        "naive": naive_all_reduce,
    },
    "reduce_scatter": {
        "halving_doubling": halving_reduce_scatter, "ring": ring_reduce_scatter,
        "segmented": segmented_reduce_scatter, "naive": naive_reduce_scatter,
    },
    "all_gather": {
        "recursive_doubling": recursive_doubling_all_gather, "bruck": bruck_all_gather,
        "ring": ring_all_gather, "naive": naive_all_gather,
    },
    "gather": {"tree": tree_scatter, "naive": naive_scatter},
    "scatter": {"tree": tree_scatter, "naive": naive_scatter},
    "all_to_all": {"pairwise": pairwise_all_to_all, "bruck": bruck_all_to_all, "naive": naive_all_to_all},
}
