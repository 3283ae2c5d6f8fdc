"""Apply merges to one word. The pair that was learned first is merged first. If this pair occurs several
times, its leftmost occurrence is merged first.

A simple method searches the whole word for the best pair after each merge. This method needs n**2 operations
for a word of n bytes. This is slow for a very long word. Here the pairs are in a heap, so n log n
operations are enough.

With the merges 1. (a, b), 2. (ab, c):   a b c a b  ->  ab c a b  ->  ab c ab  ->  abc ab
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

Pair = tuple[int, int]


def merge_word(tokens: Sequence[int], merges: Mapping[Pair, Pair]) -> list[int]:
    """Return the tokens of a word after all merges. `merges` maps a pair to (its index in the order of
    learning, its token).

    >>> merge_word([0, 1, 2, 0, 1], {(0, 1): (0, 3), (3, 2): (1, 4)})
    [4, 3]
    """
    merged = list(tokens)  # -1: this position belongs to the token on its left
    size = len(tokens)
    left, right = list(range(-1, size - 1)), list(range(1, size + 1))  # the neighbours of each position
    heap: list[tuple[int, int, Pair]] = []

    def consider(position: int) -> None:
        """Put the pair that begins at this position into the heap, if it has a merge."""
        if position >= 0 and right[position] < size:
            pair = merged[position], merged[right[position]]
            if pair in merges:
                heapq.heappush(heap, (merges[pair][0], position, pair))

    for position in range(size - 1):
        consider(position)
    while heap:
        _, position, pair = heapq.heappop(heap)
        after = right[position]
        if after >= size or (merged[position], merged[after]) != pair:
            continue  # outdated: this pair does not exist any more
        merged[position], merged[after] = merges[pair][1], -1
        right[position] = right[after]
        if right[position] < size:
            left[right[position]] = position
        consider(left[position])
        consider(position)
    return [token for token in merged if token >= 0]
