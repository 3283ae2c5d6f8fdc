"""Stores the keys and values of a paged KV cache. A slot is the memory of one token.

Each layer has one array [2, h, slots, K] for keys and values. Block number b of s tokens has the slots b * s
to b * s + s - 1. So neighbouring blocks have neighbouring slots, and attention reads them as one view without
a copy.
"""

# h heads of this rank, K head width, n rows (tokens), S tokens of a run

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class PagedCache:
    """The keys and values of all layers on this rank, in the dtype of the model."""

    def __init__(self, layers: Sequence[tuple[int, int]], blocks: int, block_size: int, dtype: np.dtype):
        """layers: one pair (number of heads, head width) per layer."""
        self.block_size = block_size
        self._pools = [np.empty((2, heads, blocks * block_size, width), dtype) for heads, width in layers]

    @property
    def token_bytes(self) -> int:
        """The bytes of one token on this rank, in all layers."""
        return sum(array.nbytes // array.shape[2] for array in self.arrays())

    def write(self, layer: int, slots: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
        """Store keys and values [h, n, K] of a layer (counted from 0 on this rank) in slots [n]."""
        keys_pool, values_pool = self._pools[layer]
        keys_pool[:, slots] = keys
        values_pool[:, slots] = values

    def keys(self, layer: int, start: int, count: int) -> np.ndarray:
        """Return a view of the keys [h, S, K] in neighbouring slots."""
        view: np.ndarray = self._pools[layer][0, :, start : start + count]
        return view

    def values(self, layer: int, start: int, count: int) -> np.ndarray:
        """Return a view of the values [h, S, K] in neighbouring slots."""
        view: np.ndarray = self._pools[layer][1, :, start : start + count]
        return view

    def copy(self, source: int, target: int) -> None:
        """Copy the content of block `source` to block `target`, in all layers."""
        old, new = self._slots([source]), self._slots([target])
        for array in self.arrays():
            array[:, :, new] = array[:, :, old]

    def save(self, blocks: Sequence[int]) -> list[np.ndarray]:
        """Return copies of the content of blocks, as arrays [2, h, slots, ...] in the order of `arrays`."""
        slots = self._slots(blocks)
        return [array[:, :, slots] for array in self.arrays()]

    def load(self, blocks: Sequence[int], saved: Sequence[np.ndarray]) -> None:
        """Write the arrays that `save` returned into blocks. The last block may be partly filled."""
        slots = self._slots(blocks)
        for array, content in zip(self.arrays(), saved, strict=True):
            array[:, :, slots[: content.shape[2]]] = content

    def arrays(self) -> list[np.ndarray]:
        """Return all arrays, each [2, h, slots, ...]."""
        return self._pools

    def _slots(self, blocks: Sequence[int]) -> np.ndarray:
        size = self.block_size
        slots: np.ndarray = (np.asarray(blocks)[:, None] * size + np.arange(size)).reshape(-1)
        return slots
