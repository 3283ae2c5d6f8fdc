"""Defines the batch of one forward pass: some rows of each of several sequences. A row is one token.

The rows of all sequences are concatenated, without padding. Example: one sequence is decoding, which means
that it computes its newest token (1 row). Another sequence is in its prefill: it computes its prompt (3
rows).

    tokens      7 | 2 5 5
    positions   9 | 0 1 2
    spans       rows 0 to 0, rows 1 to 3
"""

# n rows in the batch, m rows whose logits are needed

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Span:
    """The rows of one sequence, from row `start` to row `stop` - 1 of the batch. position: the position of
    the first row in the sequence. table: the sequence's blocks in the cache.
    """

    start: int
    stop: int
    position: int
    table: Sequence[int]

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def length(self) -> int:
        """The number of tokens in the sequence, up to and including the last of these rows."""
        return self.position + self.rows


@dataclass(frozen=True)
class RowBatch:
    """The rows of one forward pass. tokens, positions, slots: integers [n]. spans: the rows of each sequence.
    wanted: the indices [m] of the rows whose logits are needed.

    A slot is the index of one token's memory in the cache: slot = block * block size + offset in the block.
    """

    tokens: np.ndarray
    positions: np.ndarray
    slots: np.ndarray
    spans: tuple[Span, ...]
    wanted: np.ndarray

    def split(self, count: int) -> list[RowBatch]:
        """Split the batch into at most `count` micro-batches. They keep the order, have about equal numbers
        of rows, and do not split a span.
        """
        limits = np.array([span.stop for span in self.spans])
        targets = len(self.tokens) * np.arange(1, count) / count
        edges = sorted({0, *np.searchsorted(limits, targets).tolist(), len(self.spans)})
        return [self.of_spans(self.spans[start:stop]) for start, stop in pairwise(edges)]

    def of_spans(self, spans: Sequence[Span]) -> RowBatch:
        """Return the part of the batch with only these spans. They must be neighbours in the batch."""
        first, last = spans[0].start, spans[-1].stop
        wanted = self.wanted[(self.wanted >= first) & (self.wanted < last)] - first
        moved = tuple(Span(span.start - first, span.stop - first, span.position, span.table)
                      for span in spans)
        return RowBatch(self.tokens[first:last], self.positions[first:last], self.slots[first:last], moved,
                        wanted)


def make_batch(parts: Sequence[tuple[Sequence[int], int, Sequence[int], int]], block_size: int) -> RowBatch:
    """Build a batch from one tuple (tokens, first position, table, k) per sequence. The logits of the
    sequence's last k rows are needed.
    """
    tokens: list[int] = []
    spans, slots, positions, wanted = [], [], [], []
    for new, position, table, last in parts:
        start = len(tokens)
        tokens += new
        spans.append(Span(start, len(tokens), position, tuple(table)))
        at = np.arange(position, position + len(new))
        positions.append(at)
        slots.append(np.asarray(table)[at // block_size] * block_size + at % block_size)
        wanted.append(np.arange(len(tokens) - last, len(tokens)))
    return RowBatch(np.array(tokens), np.concatenate(positions), np.concatenate(slots), tuple(spans),
                    np.concatenate(wanted))


def runs_of(table: Sequence[int], block_size: int, length: int) -> list[tuple[int, int]]:
    """Return (first slot, number of slots) for each run of blocks that are neighbours in memory. table: the
    blocks of a sequence of `length` tokens.

    >>> runs_of([4, 5, 9], 16, 40)
    [(64, 32), (144, 8)]
    """
    blocks = np.asarray(table[: -(-length // block_size)])
    edges = [0, *(np.flatnonzero(np.diff(blocks) != 1) + 1).tolist(), len(blocks)]
    return [(int(blocks[start]) * block_size, min(stop * block_size, length) - start * block_size)
            for start, stop in pairwise(edges)]
