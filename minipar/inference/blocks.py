"""Manages the blocks of a paged KV cache.

A block has room for the keys and values of a fixed number of tokens (Kwon et al. 2023, "PagedAttention"). A
sequence has a table: the list of its blocks, in the order of its text. Only the last block can be partly
empty, so a sequence wastes less than one block. This file counts and assigns blocks. paged_cache.py has the
arrays.

A block has one of three states:

    in use    one or more sequences use it; `references` is their number
    cached    no sequence uses it, but it holds keys and values that a later request may need
    free      no sequence uses it, and its content is not needed

**Prefix sharing.** A *prefix* is the text from the start of a sequence to the end of a block. Each registered
prefix has a number; 0 is the empty prefix. A full block is registered under the key (number of the prefix
before the block, tokens of the block). So two blocks with equal tokens after different prefixes are
different. Example with blocks of two tokens: the text 5 6 7 8 registers (0, (5, 6)) as prefix 1, then (1, (7,
8)) as prefix 2. The text 9 9 7 8 finds no registered block.

**Eviction.** If no block is free, some cached blocks become free: those that were released first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

EVICTED = 8  # number of blocks that `_evict` frees at once
BlockKey = tuple[int, tuple[int, ...]]                              # (prefix before the block, its tokens)


class BlockPool:
    """Counts and assigns `count` blocks of `size` tokens. longest: the largest number of blocks of one
    sequence.
    """

    def __init__(self, count: int, size: int, longest: int):
        self.count, self.size, self._longest = count, size, longest
        self.references = [0] * count
        self.evictions = 0
        self._free = np.ones(count, bool)
        self._cached: OrderedDict[int, None] = OrderedDict()        # in the order of release
        self._by_key: dict[BlockKey, tuple[int, int]] = {}               # -> (block, its prefix number)
        self._key_of: dict[int, BlockKey] = {}                           # block -> key
        self._prefixes = 0

    @property
    def available(self) -> int:
        """The number of blocks that `allocate` can still return: the free and the cached ones."""
        return int(np.count_nonzero(self._free)) + len(self._cached)

    @property
    def in_use(self) -> int:
        return self.count - self.available

    def state_of(self, block: int) -> str:
        """Return the state of a block: "in use", "cached" or "free" (see the top of this file)."""
        return "in use" if self.references[block] else "cached" if block in self._cached else "free"

    def allocate(self, after: int | None) -> int | None:
        """Return a block for one sequence, or None if all blocks are in use. after: the sequence's last
        block.

        If the block behind `after` is free, it is returned, because attention reads neighbouring blocks as
        one array. Otherwise a block inside the largest gap of free blocks is returned (see `_gap`). So this
        sequence and the sequence before the gap can both grow.
        """
        if not self._free.any():
            self._evict()
        if not self._free.any():
            return None
        after = None if after is None else after + 1
        block = after if after is not None and after < self.count and self._free[after] else self._gap()
        self._free[block] = False
        self.references[block] = 1
        return block

    def share(self, block: int) -> None:
        """Count one more sequence that uses the block."""
        self.references[block] += 1
        self._cached.pop(block, None)

    def release(self, blocks: Sequence[int]) -> None:
        """Release the blocks of a sequence. blocks: in the order of its text.

        The last block will be evicted first. A lookup finds a block only if it finds all blocks before it, so
        the first blocks are the most useful ones.
        """
        for block in reversed(blocks):
            self.references[block] -= 1
            if not self.references[block]:
                if block in self._key_of:
                    self._cached[block] = None
                else:
                    self._free[block] = True

    def register(self, block: int, prefix: int, tokens: Sequence[int]) -> int:
        """Register a full block for later requests. Returns the number of the prefix that ends with this
        block.

        prefix: the number of the prefix before the block. If another block has the same key, the other block
        stays registered, and `block` becomes free when it is released.
        """
        key = (prefix, tuple(tokens))
        if key not in self._by_key:
            self._prefixes += 1
            self._by_key[key], self._key_of[block] = (block, self._prefixes), key
        return self._by_key[key][1]

    def match(self, tokens: Sequence[int]) -> tuple[list[int], int]:
        """Return the registered blocks that hold the beginning of these tokens, and the number of the prefix
        that they form.
        """
        blocks, prefix = [], 0
        for start in range(0, len(tokens) - self.size + 1, self.size):
            found = self._by_key.get((prefix, tuple(tokens[start : start + self.size])))
            if found is None:
                break
            block, prefix = found
            blocks.append(block)
        return blocks, prefix

    def _evict(self) -> None:
        """Free several cached blocks at once, so that neighbouring blocks become free together."""
        for _ in range(min(EVICTED, len(self._cached))):
            block, _ = self._cached.popitem(last=False)
            del self._by_key[self._key_of.pop(block)]
            self._free[block] = True
            self.evictions += 1

    def _gap(self) -> int:
        """Return a block in the largest run of free blocks. If the run begins at block 0, return block 0.
        Otherwise, return the middle of the run, but at most `longest` - 1 blocks after its start.
        """
        edges = np.flatnonzero(np.diff(self._free, prepend=False, append=False))
        starts, ends = edges[::2], edges[1::2]
        largest = int(np.argmax(ends - starts))
        start, length = int(starts[largest]), int(ends[largest] - starts[largest])
        return start if start == 0 else start + min(length // 2, self._longest - 1)
