"""Computes rows (tokens) of a batch with a part of a GPT: embedding, blocks, head."""

# n rows, m rows whose logits are needed, D model width, v: size of this rank's shard of the vocabulary

from __future__ import annotations

from typing import Protocol

import numpy as np

from minipar.autograd import Tensor
from minipar.inference.batch import RowBatch
from minipar.inference.paged_attention import PagedAttention
from minipar.inference.paged_cache import PagedCache
from minipar.nn import GPT


class Forward(Protocol):
    """The interface of a forward pass through a part of a model. invariant.py has another implementation."""

    def blocks(self, model: GPT, x: Tensor, cache: PagedCache, batch: RowBatch) -> Tensor:
        """Return x [1, n, D] after the blocks of the part."""

    def logits(self, model: GPT, x: Tensor, batch: RowBatch) -> np.ndarray:
        """Return the logits [m, v] of the wanted rows of x [1, n, D]."""


class PlainForward:
    """Computes all rows together. This is fastest, but the bits of a row depend on the number of rows."""

    def blocks(self, model: GPT, x: Tensor, cache: PagedCache, batch: RowBatch) -> Tensor:
        attention = PagedAttention(cache, batch)
        for layer, block in enumerate(model.blocks):
            x = block.forward(x, attention.core(layer))
        return x

    def logits(self, model: GPT, x: Tensor, batch: RowBatch) -> np.ndarray:
        result: np.ndarray = head(model, x.data[:, batch.wanted])
        return result


def embed(model: GPT, batch: RowBatch) -> Tensor:
    """Return the sum of the token and position embeddings of each row, [1, n, D]."""
    return model.token_table.look_up(batch.tokens[None]) + Tensor(model.position_table.data[batch.positions])


def head(model: GPT, rows: np.ndarray) -> np.ndarray:
    """Return the logits [m, v] of rows [1, m, D]."""
    logits: np.ndarray = model.head.logits(model.norm.forward(Tensor(rows))).data[0]
    return logits


def dtype_of(model: GPT) -> np.dtype:
    """Return the dtype of the model's activations."""
    return model.parameters()[0].data.dtype
