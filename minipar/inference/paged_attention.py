"""Computes causal attention of a batch of rows (tokens) over a paged cache.

A decoding sequence has one row. The scores of all decoding sequences are in one array, padded with -inf, so
one softmax is enough for all of them. Neighbouring blocks of the cache can be used as one array, without a
copy. So one product is computed for each run of neighbouring blocks. A prefill (computation of a prompt) has
several rows, and each row sees a different number of keys. So each prefill has its own array of scores.
"""

# n rows of the batch, h heads of this rank, K head width
# T rows of one sequence, S tokens of this sequence so far

from __future__ import annotations

import math
from functools import partial

import numpy as np

from minipar.autograd import Tensor
from minipar.inference.batch import RowBatch, Span, runs_of
from minipar.inference.paged_cache import PagedCache
from minipar.nn.recomputation import Attend


class PagedAttention:
    """Computes attention for one batch. It also stores the keys and values of the batch's rows in the cache.
    """

    def __init__(self, cache: PagedCache, batch: RowBatch):
        self._cache, self._slots = cache, batch.slots
        runs = [(span, runs_of(span.table, cache.block_size, span.length)) for span in batch.spans]
        self._decoding = [one for one in runs if one[0].rows == 1]
        self._prefill = [one for one in runs if one[0].rows > 1]
        self._rows = np.array([span.start for span, _ in self._decoding], int)
        self._longest = max((span.length for span, _ in self._decoding), default=0)

    def core(self, layer: int) -> Attend:
        """Return the attention function of a layer. layer: counted from 0 on this rank."""
        return partial(self._attend, layer)

    def _attend(self, layer: int, qkv: Tensor, heads: int) -> Tensor:
        n = qkv.shape[1]
        K = qkv.shape[2] // 3 // heads
        q, k, v = qkv.data.reshape(n, 3, heads, K).transpose(1, 2, 0, 3)                  # each [h, n, K]
        self._cache.write(layer, self._slots, k, v)
        q = q * qkv.dtype.type(1 / math.sqrt(K))
        out = np.empty((n, heads, K), qkv.dtype)
        if self._decoding:
            out[self._rows] = self._decode(layer, q)
        for span, runs in self._prefill:
            self._read_prompt(layer, q[:, span.start : span.stop], span, runs,
                              out[span.start : span.stop].swapaxes(0, 1))
        return Tensor(out.reshape(1, n, heads * K))

    def _decode(self, layer: int, q: np.ndarray) -> np.ndarray:
        """Return the outputs [sequences, h, K] of the sequences that have one row each."""
        cache, (heads, _, K) = self._cache, q.shape
        scores = np.empty((len(self._rows), heads, 1, self._longest), q.dtype)
        out = np.empty((len(self._rows), heads, 1, K), q.dtype)
        for mine, row, (span, runs) in zip(scores, self._rows, self._decoding, strict=True):
            query, at = q[:, row, None], 0                          # [h, 1, K]
            for start, count in runs:
                np.matmul(query, cache.keys(layer, start, count).swapaxes(1, 2),
                          out=mine[:, :, at : at + count])
                at += count
            mine[:, :, span.length :] = -np.inf
        sums = _exponentials(scores)                                # [sequences, h, 1, 1]
        for mine, target, (_, runs) in zip(scores, out, self._decoding, strict=True):
            _mix(cache, layer, mine, runs, target)
        out /= sums
        return out[:, :, 0]

    def _read_prompt(self, layer: int, q: np.ndarray, span: Span, runs: list[tuple[int, int]],
                     out: np.ndarray) -> None:
        """Fill out [h, T, K] from the queries q [h, T, K] of one sequence."""
        heads, T, _ = q.shape
        scores, at = np.empty((heads, T, span.length), q.dtype), 0
        for start, count in runs:
            keys = self._cache.keys(layer, start, count).swapaxes(1, 2)
            np.matmul(q, keys, out=scores[:, :, at : at + count])
            at += count
        scores[:, :, span.position :] += np.triu(np.full((T, T), -np.inf, q.dtype), 1)
        sums = _exponentials(scores)
        mixed = np.empty(q.shape, q.dtype)
        _mix(self._cache, layer, scores, runs, mixed)
        np.divide(mixed, sums, out=out)


def _exponentials(scores: np.ndarray) -> np.ndarray:
    """Replace the scores [..., S] by exp(score - largest score). Return the sums over S, [..., 1]."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    sums: np.ndarray = scores.sum(axis=-1, keepdims=True)
    return sums


def _mix(cache: PagedCache, layer: int, weights: np.ndarray, runs: list[tuple[int, int]],
         out: np.ndarray) -> None:
    """Fill out [h, T, K] with weights [h, T, S] times the values of the runs."""
    at = 0
    for start, count in runs:
        product = partial(np.matmul, weights[:, :, at : at + count], cache.values(layer, start, count))
        if at:
            out += product()
        else:
            product(out=out)
        at += count
