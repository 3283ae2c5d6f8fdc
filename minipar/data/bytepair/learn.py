"""Learn merges from a text: count all pairs of neighbours, merge the most frequent pair, and repeat.

    ababc   pairs: ab 2, ba 1, bc 1     merge ab   ->   [ab][ab]c

Only the words with the merged pair change. So only the pairs of these words are counted again (Sennrich et
al. 2016, "Neural machine translation of rare words with subword units", section 3.2, with bytes instead of
characters).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from minipar.data.bytepair.merge import Pair
from minipar.data.bytepair.words import split_words
from minipar.errors import DataError

BYTES = 256
LONGEST = 32                                                        # characters; longer words are split


def learn_merges(text: str, count: int) -> list[Pair]:
    """Return the first `count` merges of the text. Merge i makes token 256 + i; tokens 0 to 255 are the
    bytes.

    Of equally frequent pairs, the one with the smaller tokens comes first. Raises DataError if the text has
    fewer than `count` pairs that occur twice.

    >>> learn_merges("ababc", 1)                                    # a is 97, b is 98
    [(97, 98)]
    """
    words, counts = _words(text)
    frequency: Counter[Pair] = Counter()
    holders: defaultdict[Pair, set[int]] = defaultdict(set)  # pair -> words with this pair, now or earlier
    for number, word in enumerate(words):
        for pair in pairwise(word):
            frequency[pair] += counts[number]
            holders[pair].add(number)
    heap = [(-frequency[pair], pair) for pair in frequency]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while len(merges) < count:
        best = _most_frequent(heap, frequency)
        if best is None:
            raise DataError(f"the text has only {len(merges):,} pairs to merge, not {count:,}; choose at "
                            f"most bpe:{BYTES + len(merges)}, or give more text")
        token = BYTES + len(merges)
        changed: set[Pair] = set()
        for number in holders.pop(best):
            words[number] = _merged(words[number], best, token)
            for before, after in _changes(words[number], best, token):
                frequency[before] -= counts[number]
                frequency[after] += counts[number]
                holders[after].add(number)
                changed |= {before, after}
        del frequency[best]
        for pair in changed - {best}:
            heapq.heappush(heap, (-frequency[pair], pair))
        merges.append(best)
    return merges


def _words(text: str) -> tuple[list[list[int]], list[int]]:
    """Return the different words as bytes, and the frequency of each word."""
    found: Counter[str] = Counter()
    for word, times in Counter(split_words(text)).items():
        for start in range(0, len(word), LONGEST):
            found[word[start:start + LONGEST]] += times
    return [list(word.encode("utf-8")) for word in found], list(found.values())


def _most_frequent(heap: list[tuple[int, Pair]], frequency: Counter[Pair]) -> Pair | None:
    """Return the most frequent pair, or None if no pair occurs twice. A heap entry with an outdated frequency
    is dropped, because a newer entry exists.
    """
    while heap:
        minus, pair = heapq.heappop(heap)
        if frequency[pair] == -minus:
            return pair if -minus > 1 else None
    return None


def _merged(word: Sequence[int], pair: Pair, token: int) -> list[int]:
    """Return the word after the pair is replaced by `token`, from the left."""
    result, position = [], 0
    while position < len(word):
        if word[position] == pair[0] and tuple(word[position:position + 2]) == pair:
            result.append(token)
            position += 2
        else:
            result.append(word[position])
            position += 1
    return result


def _changes(word: Sequence[int], pair: Pair, token: int) -> list[tuple[Pair, Pair]]:
    """Return (old pair, new pair) for each pair that contains `token` in the word after the merge. For
    example, merging (a, b) changes the word x a b a b y to x t t y: (x, a) became (x, t), (b, a) became (t,
    t), and (b, y) became (t, y).
    """
    return [((pair[1] if one == token else one, pair[0] if two == token else two), (one, two))
            for one, two in pairwise(word) if one == token or two == token]
