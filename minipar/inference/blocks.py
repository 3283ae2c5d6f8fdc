"""The blocks of a paged KV cache: free blocks, blocks in use, and blocks that hold a prefix for later
requests.

A block has room for a fixed number of tokens (Kwon et al. 2023, "PagedAttention"). A sequence has a table of
blocks, in the order of its text. A sequence wastes less than one block. This file does the accounting; the
arrays are in paged_cache.py.

Three states of a block:

    in use    one or more sequences use it; `references` counts them
    cached    no sequence uses it, but it holds the keys and values of a known prefix for later requests
    free

**Prefix sharing.** A *prefix* is the text from the start of a sequence to the end of a block. Each
registered prefix has a number; 0 is the empty prefix. A full block is registered under (the number of the
prefix before it, its tokens). So two blocks with equal tokens after different prefixes are different.
Example with blocks of two tokens: the text 5 6 7 8 registers (0, (5, 6)) as prefix 1, then (1, (7, 8)) as
prefix 2. The text 9 9 7 8 finds neither.

**Eviction.** If no block is free, the cached blocks that were released first become free.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

EVICTED = 8                                                         # cached blocks that `_evict` frees
BlockKey = tuple[int, tuple[int, ...]]                              # (prefix before the block, its tokens)


class BlockPool:
    """The accounting of `count` blocks of `size` tokens. `longest` is the largest number of blocks of one
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
        """Blocks that `allocate` can still return."""
        return int(np.count_nonzero(self._free)) + len(self._cached)

    @property
    def in_use(self) -> int:
        return self.count - self.available

    def state_of(self, block: int) -> str:
        """Return the state of a block: "in use", "cached" or "free" (see the top of this file)."""
        return "in use" if self.references[block] else "cached" if block in self._cached else "free"

    def allocate(self, after: int | None) -> int | None:
        """Return a block for one sequence, or None if all are in use. `after` is the sequence's last block.

        The neighbouring block is preferred: attention then reads both blocks as one array. A sequence without
        blocks starts inside the largest gap, so that it and the sequence before the gap can both grow.
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
        """Release a sequence's blocks, which are given in the order of its text.

        The last block is evicted first, because a lookup finds a block only after the blocks before it.
        """
        for block in reversed(blocks):
            self.references[block] -= 1
            if not self.references[block]:
                if block in self._key_of:
                    self._cached[block] = None
                else:
                    self._free[block] = True

    def register(self, block: int, prefix: int, tokens: Sequence[int]) -> int:
        """Register a full block for later requests. Returns the number of the prefix that ends with it.

        If an equal block is already registered, that one stays registered, and `block` is freed after use.
        """
        key = (prefix, tuple(tokens))
        if key not in self._by_key:
            self._prefixes += 1
            self._by_key[key], self._key_of[block] = (block, self._prefixes), key
        return self._by_key[key][1]

    def match(self, tokens: Sequence[int]) -> tuple[list[int], int]:
        """Return (the registered blocks that hold the beginning of these tokens, the number of their prefix).
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
        """Free several blocks at once, so that neighbours become free together."""
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
