"""Gives blocks of the cache to sequences, and takes them back.

**Copy on write.** All samples of one request start with the same blocks. Before a sample writes into a block
that other samples use, too, it gets its own copy of this block. A sequence writes only into its last block,
so each sample needs at most one copy.

**Preemption.** If no block is free, a running sequence loses its blocks and waits. With "recompute", its keys
and values are computed again later. With "swap", they are copied to other memory, and are copied back later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.inference.blocks import BlockPool
from minipar.inference.paged_cache import PagedCache
from minipar.inference.sequence import TextSequence

PREEMPTIONS = ("recompute", "swap")


class SequenceMemory:
    """Gives blocks of `pool` to sequences. caches: the arrays on this rank. All caches use the same block
    numbers.
    """

    def __init__(self, pool: BlockPool, caches: Sequence[PagedCache], preemption: str, share_prefixes: bool):
        self.pool, self.caches = pool, caches
        self.copies = self.preemptions = self.shared_tokens = 0
        self._swap, self._share = preemption == "swap", share_prefixes

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.pool.size)

    def grow(self, sequence: TextSequence, length: int) -> bool:
        """Allocate blocks for the first `length` tokens of a sequence. The next step writes tokens from index
        sequence.computed on.

        If there are too few blocks, the table keeps its old length, and the result is False.
        """
        table, size = sequence.table, self.pool.size
        before, at = len(table), sequence.computed // size
        if at < before and self.pool.references[table[at]] > 1 and not self._copy(table, at):
            return False
        while len(table) < self.blocks_for(length):
            block = self.pool.allocate(table[-1] if table else None)
            if block is None:
                self.pool.release(table[before:])
                del table[before:]
                return False
            table.append(block)
        return True

    def _copy(self, table: list[int], at: int) -> bool:
        block = self.pool.allocate(table[at - 1] if at else None)
        if block is None:
            return False
        for cache in self.caches:
            cache.copy(table[at], block)
        self.pool.release([table[at]])
        table[at] = block
        self.copies += 1
        return True

    def trim(self, sequence: TextSequence) -> None:
        """Release the blocks after the computed tokens. For example, rejected drafts leave such blocks."""
        needed = self.blocks_for(sequence.computed)
        self.pool.release(sequence.table[needed:])
        del sequence.table[needed:]

    def register(self, sequence: TextSequence) -> None:
        """Register the full blocks of a sequence, so that requests with the same beginning can use them."""
        size = self.pool.size
        while self._share and sequence.registered < sequence.computed // size:
            at = sequence.registered
            sequence.prefix = self.pool.register(sequence.table[at], sequence.prefix,
                                                 sequence.text[at * size : (at + 1) * size])
            sequence.registered += 1

    def start(self, sequence: TextSequence, most: int) -> int:
        """Prepare a waiting sequence: copy its swapped blocks back, or share registered blocks with its
        beginning.

        Returns the number of rows (tokens) that the sequence can compute now, at most `most`, or 0 if there
        are too few blocks. The last token is always computed, because its logits are needed.
        """
        if self._share and sequence.swapped is None:
            blocks, sequence.prefix = self.pool.match(sequence.text[:-1])
            for block in blocks:
                self.pool.share(block)
            sequence.table, sequence.registered = blocks, len(blocks)
            sequence.computed = len(blocks) * self.pool.size
        shared, rows = sequence.computed, min(sequence.pending, most)
        if not self.grow(sequence, sequence.computed + rows):
            if sequence.swapped is None:
                self.forget(sequence)
            return 0
        if sequence.swapped is None:
            self.shared_tokens += shared
        else:
            self._load(sequence, sequence.swapped)
        return rows

    def _load(self, sequence: TextSequence, saved: Sequence[np.ndarray]) -> None:
        arrays, table = iter(saved), sequence.table[: self.blocks_for(sequence.computed)]
        for cache in self.caches:
            cache.load(table, [next(arrays) for _ in cache.arrays()])
        sequence.swapped = None

    def fork(self, sequence: TextSequence, other: TextSequence) -> None:
        """Make another sequence, which has the same text so far, use the same blocks."""
        for block in sequence.table:
            self.pool.share(block)
        other.table, other.computed = list(sequence.table), sequence.computed
        other.registered, other.prefix = sequence.registered, sequence.prefix

    def preempt(self, sequence: TextSequence) -> None:
        """Take all blocks of a running sequence. It can continue later."""
        self.preemptions += 1
        if self._swap and sequence.computed:
            self.trim(sequence)
            sequence.swapped = [array for cache in self.caches for array in cache.save(sequence.table)]
            self.pool.release(sequence.table)
            sequence.table, sequence.registered, sequence.prefix = [], 0, 0
        else:
            self.forget(sequence)

    def forget(self, sequence: TextSequence) -> None:
        """Release all blocks of a sequence. No token of its text counts as computed any more."""
        self.pool.release(sequence.table)
        sequence.table, sequence.computed = [], 0
        sequence.registered, sequence.prefix = 0, 0
