"""How n elements and p ranks divide up: pieces, subtrees, and the core of a power of two.

The closed forms of traffic and time stand on these. n elements are cut into p pieces as np.array_split does;
rank r owns piece r. Positions in a tree count from its root. The core of p ranks is the largest power of two,
q, that is at most p; the other e = p - q ranks fold into it, the first 2e ranks in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence


def piece(n: int, p: int, r: int) -> int:
    """Elements of piece r of p: n/p, rounded up for the first n mod p pieces and down for the others.

    >>> [piece(10, 4, r) for r in range(4)]
    [3, 3, 2, 2]
    """
    return (n + p - 1 - r % p) // p


def log2_up(p: int) -> int:
    """Rounds in which 1 becomes at least p by doubling: ceil(log2 p)."""
    return (p - 1).bit_length()


def tree_children(v: int, p: int) -> int:
    """Children of position v in a binomial tree: the powers of two below v's lowest set bit that lead to a
    position below p.

    >>> [tree_children(v, 6) for v in range(6)]                 # 0 sends to 4, 2 and 1; 2 to 3; 4 to 5
    [3, 0, 1, 0, 1, 0]
    """
    return min((v & -v).bit_length() - 1, log2_up(p - v)) if v else log2_up(p)


def tree_size(v: int, p: int) -> int:
    """Positions in the subtree of position v.

    >>> [tree_size(v, 6) for v in range(6)]
    [6, 1, 2, 1, 2, 1]
    """
    return min(v & -v, p - v) if v else p


def core(p: int) -> tuple[int, int, int]:
    """q, log2 q and e."""
    rounds = p.bit_length() - 1
    return 1 << rounds, rounds, p - (1 << rounds)


def core_rank(p: int, rank: int) -> int | None:
    """This rank's rank in the core; None for a rank that folds away (even, among the first 2e).

    >>> [core_rank(6, rank) for rank in range(6)]               # 4 of 6 ranks; 0 and 2 fold away
    [None, 0, None, 1, 2, 3]
    """
    _, _, e = core(p)
    if rank >= 2 * e:
        return rank - e
    return rank // 2 if rank % 2 else None


def core_counts(p: int, counts: Sequence[int]) -> list[int]:
    """The pieces of the core: those of a folded pair are one."""
    q, _, e = core(p)
    return [counts[2 * v] + counts[2 * v + 1] if v < e else counts[v + e] for v in range(q)]


def blocks_sent(q: int, v: int, counts: Sequence[int]) -> int:
    """Recursive doubling: in round k, the aligned block of 2**k pieces around v; (q - 1)/q n if all are
    equal. Thakur, 3.1.
    """
    aligned = ((v >> k << k, 1 << k) for k in range(q.bit_length() - 1))
    return sum(sum(counts[first:first + size]) for first, size in aligned)
