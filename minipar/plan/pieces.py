"""Computes numbers for the formulas of traffic and time. They describe the pieces of an array, the tree of a
tree collective, and the core: the ranks that run an algorithm for a power-of-two number of ranks.

n elements are divided into p pieces as np.array_split does. Rank r owns piece r. A tree has p positions, and
its root is position 0. The core has q ranks, where q is the largest power of two that is at most p. The other
e = p - q ranks fold into the core: the first 2e ranks form pairs, and one rank of each pair is in the core.
"""

from __future__ import annotations

from collections.abc import Sequence

from minipar.plan.arguments import checked


@checked
def piece(n: int, p: int, r: int) -> int:
    """Returns the number of elements in piece r of p. It is n/p, rounded up for the first n mod p pieces and
    rounded down for the other pieces.

    >>> [piece(10, 4, r) for r in range(4)]
    [3, 3, 2, 2]
    """
    return (n + p - 1 - r % p) // p


def largest_piece(n: int, p: int) -> int:
    """Returns piece(n, p, 0), which is the largest piece: n/p rounded up. The arguments are not checked,
    because the planner calls this function very often.
    """
    return -(-n // p)


@checked
def log2_up(p: int) -> int:
    """Returns ceil(log2 p): how often 1 must be doubled to reach at least p."""
    return (p - 1).bit_length()


@checked
def tree_children(v: int, p: int) -> int:
    """Returns the number of children of position v in a binomial tree of p positions.

    The children are the positions v + 2**k < p whose 2**k is smaller than v's lowest set bit. The root is 0
    and has no set bit, so every k is allowed.

    >>> [tree_children(v, 6) for v in range(6)]                 # 0 sends to 4, 2 and 1; 2 to 3; 4 to 5
    [3, 0, 1, 0, 1, 0]
    """
    return min((v & -v).bit_length() - 1, log2_up(p - v)) if v else log2_up(p)


@checked
def tree_size(v: int, p: int) -> int:
    """Returns the number of positions in the subtree of position v.

    >>> [tree_size(v, 6) for v in range(6)]
    [6, 1, 2, 1, 2, 1]
    """
    return min(v & -v, p - v) if v else p


@checked
def core(p: int) -> tuple[int, int, int]:
    """Returns q, log2 q and e of the core (see above).

    >>> core(6)                                                 # 6 = 2**2 + 2
    (4, 2, 2)
    """
    rounds = p.bit_length() - 1
    return 1 << rounds, rounds, p - (1 << rounds)


@checked
def core_rank(p: int, rank: int) -> int | None:
    """Returns the rank's number in the core. Returns None for a rank outside the core. Such a rank is even
    and among the first 2e ranks.

    >>> [core_rank(6, rank) for rank in range(6)]               # 0 folds into 1, and 2 into 3
    [None, 0, None, 1, 2, 3]
    """
    _, _, e = core(p)
    if rank >= 2 * e:
        return rank - e
    return rank // 2 if rank % 2 else None


@checked
def core_counts(p: int, counts: Sequence[int]) -> list[int]:
    """Returns the sizes of the core's pieces. The two ranks of a folded pair have one common piece.

    >>> core_counts(6, [3, 3, 2, 2, 2, 2])
    [6, 4, 2, 2]
    """
    q, _, e = core(p)
    return [counts[2 * v] + counts[2 * v + 1] if v < e else counts[v + e] for v in range(q)]


@checked
def blocks_sent(q: int, v: int, counts: Sequence[int]) -> int:
    """Returns the number of elements that core rank v sends in recursive doubling (Thakur, 3.1).

    In round k, the rank sends the aligned block of 2**k pieces that contains piece v. If the pieces are
    equal, it sends (q - 1)/q n elements in total.

    >>> blocks_sent(4, 2, [1, 1, 5, 3])                         # round 0: piece 2; round 1: pieces 2 and 3
    13
    """
    aligned = ((v >> k << k, 1 << k) for k in range(q.bit_length() - 1))
    return sum(sum(counts[first:first + size]) for first, size in aligned)
