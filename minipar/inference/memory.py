"""The blocks of each sequence: growth, copy on write, shared prefixes, and preemption.

**Copy on write.** Samples of one request start with the same table. Before a sample writes into a block that
others use too, it gets its own copy of the block. Only the last block of a table can be written to, so there
is at most one copy per sample.

**Preemption.** If no block is free, a sequence must give its blocks back. Its keys and values are either
computed again later ("recompute"), or copied out of the pool and later back ("swap").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.inference.blocks import BlockPool
from minipar.inference.paged_cache import PagedCache
from minipar.inference.sequence import TextSequence

PREEMPTIONS = ("recompute", "swap")


class SequenceMemory:
    """SequenceMemory gives blocks to sequences. `caches` are the arrays on this rank; all use the same
    blocks.
    """

    def __init__(self, pool: BlockPool, caches: Sequence[PagedCache], preemption: str, share_prefixes: bool):
        self.pool, self.caches = pool, caches
        self.copies = self.preemptions = self.shared_tokens = 0
        self._swap, self._share = preemption == "swap", share_prefixes

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.pool.size)

    def grow(self, sequence: TextSequence, length: int) -> bool:
        """Allocate blocks for `length` tokens of the sequence. The tokens from `computed` on will be written.

        Returns False, and leaves the table as long as before, if there are too few blocks.
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
        """Release the blocks after the computed tokens, such as blocks of rejected drafts."""
        needed = self.blocks_for(sequence.computed)
        self.pool.release(sequence.table[needed:])
        del sequence.table[needed:]

    def register(self, sequence: TextSequence) -> None:
        """Register the full blocks of the sequence for requests with the same beginning."""
        size = self.pool.size
        while self._share and sequence.registered < sequence.computed // size:
            at = sequence.registered
            sequence.prefix = self.pool.register(sequence.table[at], sequence.prefix,
                                                 sequence.text[at * size : (at + 1) * size])
            sequence.registered += 1

    def start(self, sequence: TextSequence, most: int) -> int:
        """Prepare a waiting sequence: load its swapped blocks, or share the blocks of its prefix.

        Returns the number of rows that it can compute now, at most `most`; 0 if there are too few blocks. The
        last token is always computed, since its logits are needed.
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
        """Let another sequence with the same text so far use the same blocks."""
        for block in sequence.table:
            self.pool.share(block)
        other.table, other.computed = list(sequence.table), sequence.computed
        other.registered, other.prefix = sequence.registered, sequence.prefix

    def preempt(self, sequence: TextSequence) -> None:
        """Take the blocks of a running sequence; it can continue later."""
        self.preemptions += 1
        if self._swap and sequence.computed:
            self.trim(sequence)
            sequence.swapped = [array for cache in self.caches for array in cache.save(sequence.table)]
            self.pool.release(sequence.table)
            sequence.table, sequence.registered, sequence.prefix = [], 0, 0
        else:
            self.forget(sequence)

    def forget(self, sequence: TextSequence) -> None:
        """Release all blocks. No token of the text counts as computed any more."""
        self.pool.release(sequence.table)
        sequence.table, sequence.computed = [], 0
        sequence.registered, sequence.prefix = 0, 0
