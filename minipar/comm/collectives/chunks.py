"""How an array is cut among ranks: contiguous pieces, by default as equal as they can be."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np


def even_counts(length: int, parts: int) -> list[int]:
    """The sizes of `parts` pieces of `length` things, as np.array_split cuts them: the first `length % parts`
    get one more.

    >>> even_counts(10, 4)
    [3, 3, 2, 2]
    """
    size, extra = divmod(length, parts)
    return [size + 1] * extra + [size] * (parts - extra)


def edges(counts: Sequence[int]) -> list[int]:
    """Where each piece starts, and where the last one ends: one number more than there are pieces.

    >>> edges([3, 3, 2])
    [0, 3, 6, 8]
    """
    return list(accumulate(counts, initial=0))


def pieces(flat: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Views of a one-dimensional array, one after the other."""
    edge = edges(counts)
    return [flat[start:stop] for start, stop in zip(edge, edge[1:], strict=False)]


def copy_unless_same(source: np.ndarray, out: np.ndarray) -> None:
    """Most algorithms work in place on `out`; this is how they start from `source`, at no cost where it is
    `out` already.
    """
    if source is not out:
        np.copyto(out, source)


def rotate(source: np.ndarray, out: np.ndarray, start: int) -> None:
    """Copy so that `source[start:]` comes first: from the order of the ranks to one that starts at another
    rank, or back.

    >>> source, out = np.arange(4), np.zeros(4, int)
    >>> rotate(source, out, 1)
    >>> out
    array([1, 2, 3, 0])
    """
    out[:source.size - start] = source[start:]
    out[source.size - start:] = source[:start]
