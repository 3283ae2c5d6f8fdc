"""Computes rows so that their bits do not depend on the batch (batch-invariant inference).

A sequence then gets the same bits in every batch, with every block size, and with every division into chunks.

The rounding of a sum of floats depends on its order. A BLAS library chooses the order by the shape of the
matrices. So the last bits of a row can differ between a product with 1 row and a product with 32 rows (He
2025, "Defeating nondeterminism in LLM inference"). Two rules make the shapes constant:

* The layers compute tiles, which are groups of exactly TILE rows. The last tile is filled with zeros. So
  every product has the same shape in every step.
* Attention is computed row by row over a contiguous copy of the keys. Its shapes depend only on the position
  of the row.

A row must also get the same bits at each of the TILE positions of a tile. `require_invariant` checks this for
the model on this machine. The rules cost time: one row takes as long as 16 rows, and keys and values are
copied (see benchmarks/serving.py).
"""

# n rows, m rows whose logits are needed, D model width, h heads of this rank, K head width, S keys

from __future__ import annotations

import math
from functools import partial

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.errors import ConfigError
from minipar.inference.batch import RowBatch, Span, runs_of
from minipar.inference.forward import head
from minipar.inference.paged_cache import PagedCache
from minipar.nn import GPT
from minipar.nn.recomputation import Attend

TILE = 16                                                           # rows of every product


class TiledForward:
    """A Forward in which the bits of a row depend only on the sequence of that row."""

    def blocks(self, model: GPT, x: Tensor, cache: PagedCache, batch: RowBatch) -> Tensor:
        attention = _RowAttention(cache, batch)
        tiles = [slice(start, min(start + TILE, x.shape[1])) for start in range(0, x.shape[1], TILE)]
        parts = [_filled(x.data[:, tile]) for tile in tiles]
        for layer, block in enumerate(model.blocks):
            # tiles run in order: later rows of a sequence read the keys of earlier rows from the cache
            parts = [block.forward(part, attention.core(layer, tile))
                     for part, tile in zip(parts, tiles, strict=True)]
        return Tensor(np.concatenate([part.data for part in parts], axis=1)[:, : x.shape[1]])

    def logits(self, model: GPT, x: Tensor, batch: RowBatch) -> np.ndarray:
        rows = x.data[:, batch.wanted]
        parts = [head(model, _filled(rows[:, start : start + TILE]).data)
                 for start in range(0, rows.shape[1], TILE)]
        return np.concatenate(parts)[: rows.shape[1]] if parts else head(model, rows)


class _RowAttention:
    """Computes the attention of a tile row by row."""

    def __init__(self, cache: PagedCache, batch: RowBatch):
        self._cache, self._batch = cache, batch

    def core(self, layer: int, tile: slice) -> Attend:
        return partial(self._attend, layer, tile)

    def _attend(self, layer: int, tile: slice, qkv: Tensor, heads: int) -> Tensor:
        K = qkv.shape[2] // 3 // heads
        q, k, v = qkv.data.reshape(TILE, 3, heads, K).transpose(1, 2, 0, 3)               # each [h, TILE, K]
        n = tile.stop - tile.start
        self._cache.write(layer, self._batch.slots[tile], k[:, :n], v[:, :n])
        out = np.zeros((TILE, heads, K), qkv.dtype)
        for span in self._batch.spans:
            start, stop = max(span.start, tile.start), min(span.stop, tile.stop)
            if start < stop:
                keys, values = self._contiguous(layer, span, span.position + stop - span.start)
                for row in range(start, stop):
                    S = span.position + row - span.start + 1
                    query = np.ascontiguousarray(q[:, row - tile.start, None])            # [h, 1, K]
                    out[row - tile.start] = _attention(query, keys[:, :S], values[:, :S])
        return Tensor(out.reshape(1, TILE, heads * K))

    def _contiguous(self, layer: int, span: Span, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the keys and values [h, length, K] of a sequence."""
        runs = runs_of(span.table, self._cache.block_size, length)
        return (np.concatenate([self._cache.keys(layer, *run) for run in runs], axis=1),
                np.concatenate([self._cache.values(layer, *run) for run in runs], axis=1))


def require_invariant(model: GPT) -> None:
    """Check the BLAS library of this machine. Raises ConfigError if equal rows of a tile get different bits.
    """
    width, config = model.parameters()[0].data.shape[-1], model.config
    row = np.random.default_rng(0).standard_normal((1, 1, width)).astype(model.parameters()[0].data.dtype)
    tile = Tensor(np.repeat(row, TILE, axis=1))
    with no_grad():
        results = [block.forward(tile, lambda qkv, heads: Tensor(qkv.data[:, :, : heads * config.head_width]))
                   for block in model.blocks]
        outputs = [result.data[0] for result in results]
        outputs += [head(model, tile.data)] if model.part.last else []
    if any((output != output[0]).any() for output in outputs):
        raise ConfigError(f"in a tile of {TILE} equal rows, the BLAS library of this machine computes rows "
                          "with different bits, so batch-invariant inference is impossible here; do "
                          "not set the option `invariant`",
                          item="invariant")


def _filled(x: np.ndarray) -> Tensor:
    """Return x [1, n, D] with rows of zeros appended, [1, TILE, D]."""
    tile = np.zeros((1, TILE, x.shape[2]), x.dtype)
    tile[:, : x.shape[1]] = x
    return Tensor(tile)


def _attention(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the output [h, K] for query [h, 1, K], keys and values [h, S, K]."""
    scores = query @ keys.swapaxes(1, 2) * query.dtype.type(1 / math.sqrt(query.shape[2]))         # [h, 1, S]
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    out: np.ndarray = (scores @ values / scores.sum(axis=-1, keepdims=True))[:, 0]
    return out
