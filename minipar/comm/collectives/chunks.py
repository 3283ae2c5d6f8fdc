"""Divides an array into contiguous pieces, one per rank. By default the pieces are as equal as possible."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np


def even_counts(length: int, parts: int) -> list[int]:
    """Returns the sizes of `parts` pieces of `length` elements, as np.array_split does. The first
    `length % parts` pieces get one element more.

    >>> even_counts(10, 4)
    [3, 3, 2, 2]
    """
    size, extra = divmod(length, parts)
    return [size + 1] * extra + [size] * (parts - extra)


def edges(counts: Sequence[int]) -> list[int]:
    """Returns len(counts) + 1 numbers: the start of each piece, and the end of the last one.

    >>> edges([3, 3, 2])
    [0, 3, 6, 8]
    """
    return list(accumulate(counts, initial=0))


def pieces(flat: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Returns consecutive views of a one-dimensional array. counts: the number of elements of each view."""
    edge = edges(counts)
    return [flat[start:stop] for start, stop in zip(edge, edge[1:], strict=False)]


def copy_unless_same(source: np.ndarray, out: np.ndarray) -> None:
    """Copy `source` to `out`, unless the two are the same object. Most algorithms then work in place on
    `out`.
    """
    if source is not out:
        np.copyto(out, source)


def rotate(source: np.ndarray, out: np.ndarray, start: int) -> None:
    """Copy `source` to `out`, so that `source[start:]` comes first.

    >>> source, out = np.arange(4), np.zeros(4, int)
    >>> rotate(source, out, 1)
    >>> out
    array([1, 2, 3, 0])
    """
    out[:source.size - start] = source[start:]
    out[source.size - start:] = source[:start]
