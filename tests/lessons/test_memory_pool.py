"""Placements in a pool: no two arrays that are alive together overlap, and no more memory than need be."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from minipar.lessons.support.memory_pool import Lifetime, chain, extent, most_alive, offsets

LIFETIMES = st.lists(st.builds(lambda size, born, length: Lifetime(size, born, born + length),
                               st.integers(0, 9), st.integers(0, 6), st.integers(0, 3)), max_size=8)


def clashes(arrays: Sequence[Lifetime], starts: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of arrays that share an offset in a step, found cell by cell."""
    cells = [
        {(step, offset) for step in range(a.born, a.dies + 1) for offset in range(start, start + a.size)}
        for a, start in zip(arrays, starts, strict=True)
    ]
    return [(i, j) for i, j in itertools.combinations(range(len(arrays)), 2) if cells[i] & cells[j]]


@given(LIFETIMES)
def test_nothing_overlaps(arrays: list[Lifetime]) -> None:
    starts = offsets(arrays)
    assert clashes(arrays, starts) == []
    assert most_alive(arrays) <= extent(arrays, starts) <= sum(a.size for a in arrays)


@given(st.lists(st.integers(1, 9), max_size=8))
def test_a_chain_needs_two_neighbours_at_a_time(sizes: list[int]) -> None:
    assert most_alive(chain(sizes)) == max((a + b for a, b in zip([0, *sizes], sizes, strict=False)),
                                           default=0)


def test_an_overlap_is_seen() -> None:
    assert clashes([Lifetime(2, 0, 1), Lifetime(2, 1, 2)], [0, 1]) == [(0, 1)]
    assert clashes([Lifetime(2, 0, 1), Lifetime(2, 2, 2)], [0, 1]) == []


def test_five_arrays() -> None:
    """Sizes 4, 8, 8, 2, 6 one after the other: 28 if each has its own place, 16 in a pool."""
    arrays = chain([4, 8, 8, 2, 6])
    assert sum(a.size for a in arrays) == 28 and most_alive(arrays) == 16 == extent(arrays, offsets(arrays))


def test_greedy_is_not_always_best() -> None:
    """It leaves a hole of one here. Trying all places shows that there is a placement without."""
    arrays = [Lifetime(2, 3, 5), Lifetime(3, 3, 4), Lifetime(4, 1, 2), Lifetime(3, 4, 6), Lifetime(4, 1, 3)]
    assert most_alive(arrays) == 9 and extent(arrays, offsets(arrays)) == 10
    everywhere = itertools.product(*(range(10 - a.size) for a in arrays))
    assert any(clashes(arrays, starts) == [] for starts in everywhere)
