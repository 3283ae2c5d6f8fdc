"""Computes the time of a collective in the alpha-beta-gamma model.

The option "auto" of a collective selects the algorithm with the shortest time. Tests compare these times with
the virtual clock of `minipar.comm`.

A message of n bytes takes alpha + n beta seconds. A rank can send one message and receive one message at the
same time. Adding n bytes takes n gamma seconds. The formulas come from Thakur, Rabenseifner, Gropp 2005,
unless another source is named. In the docstrings, "T 4.1" means section 4.1 of this paper. p is the number of
ranks. The formulas are exact if p is a power of two and divides n. Formulas of rings are exact for every p
that divides n.

n is the size of an array in bytes. For a gather, a scatter or an all-gather it is the size of all pieces
together. For the other collectives it is the size of one rank's array. If alpha, beta and gamma are
Fractions, the results are exact Fractions of seconds.

Example: p = 4, n = 4000 bytes, alpha = 10, beta = 1/100, gamma = 0. A tree broadcast takes 2 rounds of 10 +
40 seconds, together 100 seconds. A ring all-gather takes 3 rounds of 10 + 10 seconds, together 60 seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minipar.config import MOST_RANKS
from minipar.plan.arguments import checked, require_amount, require_whole
from minipar.plan.pieces import log2_up
from minipar.records import Number


@dataclass(frozen=True)
class Links:
    """Holds the times of a link. alpha: seconds per message. beta: seconds per byte. gamma: seconds per byte
    of an addition. Raises LayoutError for negative numbers, infinity and NaN.
    """

    alpha: Number
    beta: Number
    gamma: Number = 0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            require_amount(name, getattr(self, name))


SEGMENT_BYTES = 1 << 20             # size of a segment in the segmented ring


@checked
def naive_broadcast(p: int, n: Number, net: Links) -> Number:
    """The root sends p - 1 times."""
    return (p - 1) * (net.alpha + n * net.beta)


@checked
def naive_reduce(p: int, n: Number, net: Links) -> Number:
    """The root receives p - 1 times, and adds one array while the next one arrives.

    The first message and the last addition do not overlap. The other p - 2 messages and p - 2 additions
    overlap in pairs. The slower one of each pair counts.
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
    """The root sends p - 1 pieces. A gather takes the same time."""
    return (p - 1) * net.alpha + n * net.beta * (p - 1) / p


@checked
def naive_all_gather(p: int, n: Number, net: Links) -> Number:
    return naive_scatter(p, n, net) + naive_broadcast(p, n, net)


@checked
def tree_broadcast(p: int, n: Number, net: Links) -> Number:
    """T 4.1: each of ceil(log2 p) rounds sends the whole array."""
    return log2_up(p) * (net.alpha + n * net.beta)


@checked
def tree_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.3: the time of a tree broadcast, plus the time to add the whole array once per round."""
    return log2_up(p) * (net.alpha + n * net.beta + n * net.gamma)


@checked
def tree_all_reduce(p: int, n: Number, net: Links) -> Number:
    return tree_reduce(p, n, net) + tree_broadcast(p, n, net)


@checked
def tree_scatter(p: int, n: Number, net: Links) -> Number:
    """T 4.1: the messages have 1/2, 1/4, ... of the array, (p - 1)/p in total. A gather takes the same time.
    """
    return log2_up(p) * net.alpha + n * net.beta * (p - 1) / p


@checked
def ring_all_gather(p: int, n: Number, net: Links) -> Number:
    """T 3.1: each of p - 1 rounds sends n/p bytes."""
    return (p - 1) * (net.alpha + n * net.beta / p)


@checked
def ring_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """The time of a ring all-gather, plus the additions. Source: Patarasuk and Yuan 2009, section 3."""
    return ring_all_gather(p, n, net) + n * net.gamma * (p - 1) / p


@checked
def ring_all_reduce(p: int, n: Number, net: Links) -> Number:
    """Returns 2 (p - 1) (alpha + n/p beta) + (p - 1)/p n gamma. Source: Patarasuk and Yuan 2009."""
    return ring_reduce_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def ring_broadcast(p: int, n: Number, net: Links) -> Number:
    """T 4.1 (long messages): a tree scatter, then a ring all-gather."""
    return tree_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def ring_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.3 (long messages): a reduce-scatter, which is a ring here, then a tree gather."""
    return ring_reduce_scatter(p, n, net) + tree_scatter(p, n, net)


@checked
def segmented_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """The ring divides each piece into s segments. So the latency of a round is s alpha. Only the addition of
    the last segment does not overlap with a message.
    """
    segments = max(1, -(-n // (p * SEGMENT_BYTES)))
    return (p - 1) * (segments * net.alpha + n * net.beta / p + n * net.gamma / (p * segments))


@checked
def segmented_all_reduce(p: int, n: Number, net: Links) -> Number:
    return segmented_reduce_scatter(p, n, net) + ring_all_gather(p, n, net)


@checked
def folded(p: int) -> int:
    """Returns 1 if p is not a power of two, else 0. In the first case some ranks fold: each sends its input
    to a partner and receives the result at the end (T 4.5).
    """
    return int(p & (p - 1) != 0)


@checked
def recursive_doubling_all_reduce(p: int, n: Number, net: Links) -> Number:
    """T 4.5: each of log2 p rounds sends the whole array."""
    rounds = p.bit_length() - 1
    return (rounds + 2 * folded(p)) * (net.alpha + n * net.beta) + (rounds + folded(p)) * n * net.gamma


@checked
def swapped_pieces(p: int) -> int:
    """Returns a sum over all rounds: the number of pieces in the largest block that a core rank sends in the
    round. The core has q ranks, the largest power of two that is at most p, and e = p - q ranks fold
    (pieces.py).

    In a round with blocks of b core ranks, the first block is the largest, because the first e core ranks
    have two pieces each. This block has b + min(b, e) pieces.

    >>> swapped_pieces(4), swapped_pieces(6)                    # 1 + 2; (1 + 1) + (2 + 2)
    (3, 6)
    """
    q = 1 << (p.bit_length() - 1)
    return sum((1 << k) + min(1 << k, p - q) for k in range(p.bit_length() - 1))


@checked
def recursive_doubling_all_gather(p: int, n: Number, net: Links) -> Number:
    """T 3.1: log2 p rounds together send (p - 1)/p of the array.

    A folded rank sends one piece to its partner, and receives the whole array at the end.
    """
    fold = 2 * net.alpha + n * net.beta / p + n * net.beta
    return (p.bit_length() - 1) * net.alpha + n * net.beta * swapped_pieces(p) / p + folded(p) * fold


@checked
def halving_reduce_scatter(p: int, n: Number, net: Links) -> Number:
    """T 4.2 (recursive halving): log2 p rounds together send (p - 1)/p of the array.

    A folded rank sends the whole array to its partner, and receives one piece at the end.
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
    """T 3.1 (Bruck): ceil(log2 p) rounds together send (p - 1)/p of the array, for every p."""
    return log2_up(p) * net.alpha + n * net.beta * (p - 1) / p


@checked
def pairwise_all_to_all(p: int, n: Number, net: Links) -> Number:
    """T 3.2: each rank sends p - 1 messages of n/p bytes."""
    return ring_all_gather(p, n, net)


@checked
def naive_all_to_all(p: int, n: Number, net: Links) -> Number:
    """All other ranks send to rank p - 1 last, at the same time. So this rank receives its p - 1 messages
    after p - 2 rounds. The total is 2 p - 3 message times.
    """
    return max(0, 2 * p - 3) * (net.alpha + n * net.beta / p)


@checked
def bruck_all_to_all(p: int, n: Number, net: Links) -> Number:
    """T 3.2 (Bruck): round k sends the blocks whose distance to their receiver has bit k set. If p is a power
    of two, a round sends n/2 bytes.
    """
    return log2_up(p) * net.alpha + n * net.beta * sum(d.bit_count() for d in range(p)) / p


@checked
def hierarchical_all_reduce(nodes: int, width: int, n: Number, within: Links, between: Links) -> Number:
    """T 6: rings over the `width` ranks of each node, then rings over the nodes with n/width bytes (Mikami et
    al. 2018).
    """
    require_whole("nodes", nodes, 1, MOST_RANKS)
    return ring_all_reduce(width, n, within) + ring_all_reduce(nodes, n / width, between)


@checked
def shared_all_reduce(p: int, n: Number, net: Links) -> Number:
    """The ranks pass three barriers. They add (p - 1)/p n bytes, and copy as many bytes. A copy takes as long
    as an addition.
    """
    return 3 * log2_up(p) * net.alpha + 2 * n * net.gamma * (p - 1) / p


# Operation -> algorithm -> time. If times are equal, the first algorithm in the table is chosen.
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
