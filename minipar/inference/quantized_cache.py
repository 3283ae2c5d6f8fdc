"""Stores the keys and values of a paged KV cache as 8-bit integers, with one scale per key and per value.

In float32 a number has 4 bytes. Here a head of width K needs K bytes and one scale. For K = 64 this is 68
bytes instead of 256, so the same memory holds 3.8 times as many tokens. A number x is stored as round(x / s)
with the scale s = (largest absolute number of the key or value) / 127. The error is at most s / 2. So
generated tokens can differ from the tokens with a float cache.

Every key and value is rounded when it is written. Attention reads only rounded numbers, also for tokens of
the same forward pass. So the result of a request does not depend on how its prompt was divided into passes.
"""

# h heads of this rank, K head width, n rows (tokens), S tokens of a run

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.compress.quantize.affine import quantize
from minipar.compress.quantize.scheme import Scheme
from minipar.inference.paged_cache import PagedCache

ROWS = Scheme(bits=8, axis=0)                                       # one scale per row


class QuantizedCache(PagedCache):
    """A PagedCache that stores 8-bit integers. Raises RangeError for keys or values that are not finite."""

    def __init__(self, layers: Sequence[tuple[int, int]], blocks: int, block_size: int, dtype: np.dtype):
        super().__init__(layers, blocks, block_size, np.dtype(np.int8))
        self._scales = [np.empty((2, heads, blocks * block_size, 1), dtype) for heads, _ in layers]

    def write(self, layer: int, slots: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
        for pool, scales, x in zip(self._pools[layer], self._scales[layer], (keys, values), strict=True):
            rounded = quantize(x.reshape(-1, x.shape[-1]), ROWS, name="the KV cache")
            pool[:, slots] = rounded.codes.reshape(x.shape)
            scales[:, slots] = rounded.grid.scale.reshape(*x.shape[:-1], 1)

    def keys(self, layer: int, start: int, count: int) -> np.ndarray:
        return self._floats(layer, 0, slice(start, start + count))

    def values(self, layer: int, start: int, count: int) -> np.ndarray:
        return self._floats(layer, 1, slice(start, start + count))

    def arrays(self) -> list[np.ndarray]:
        return [*self._pools, *self._scales]

    def _floats(self, layer: int, which: int, slots: slice) -> np.ndarray:
        """Return keys (which = 0) or values (which = 1) as a new array of floats, [h, S, K]."""
        floats: np.ndarray = self._pools[layer][which, :, slots] * self._scales[layer][which, :, slots]
        return floats
