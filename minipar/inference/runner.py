"""The forward pass of a batch of rows through a GPT with a paged cache."""

# n rows, m rows whose logits are wanted, D model width, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from minipar.autograd import Tensor, no_grad
from minipar.config import ModelConfig
from minipar.inference.batch import RowBatch
from minipar.inference.paged_attention import PagedAttention
from minipar.inference.paged_cache import PagedCache, cache_layers
from minipar.nn import GPT


class Runner(Protocol):
    """What the engine needs of a model: the logits of a batch, and the blocks of its cache."""

    config: ModelConfig
    caches: Sequence[PagedCache]                                    # of this rank, one per part of the model

    def run(self, batch: RowBatch) -> np.ndarray:
        """The logits [m, V] of the wanted rows; stores the keys and values of all rows."""


class LocalRunner:
    """A whole model in this process."""

    def __init__(self, model: GPT, blocks: int, block_size: int):
        self.model, self.config = model, model.config
        self.caches = [PagedCache(cache_layers(model), blocks, block_size, dtype_of(model))]

    def run(self, batch: RowBatch) -> np.ndarray:
        with no_grad():
            x = blocks_forward(self.model, embed(self.model, batch), self.caches[0], batch)
            return logits(self.model, x, batch)


def dtype_of(model: GPT) -> np.dtype:
    """The dtype of the model's activations."""
    return model.parameters()[0].data.dtype


def embed(model: GPT, batch: RowBatch) -> Tensor:
    """[1, n, D]: token and position of each row."""
    return model.token_table.look_up(batch.tokens[None]) + Tensor(model.position_table.data[batch.positions])


def blocks_forward(model: GPT, x: Tensor, cache: PagedCache, batch: RowBatch) -> Tensor:
    """x [1, n, D] through the blocks of the model, or of a part of it."""
    attention = PagedAttention(cache, batch)
    for layer, block in enumerate(model.blocks):
        x = block.forward(x, attention.core(layer))
    return x


def logits(model: GPT, x: Tensor, batch: RowBatch) -> np.ndarray:
    """The logits [m, v] of the wanted rows of x [1, n, D]; v: this rank's shard of the vocabulary."""
    rows = Tensor(x.data[:, batch.wanted])
    result: np.ndarray = model.head.logits(model.norm.forward(rows)).data[0]
    return result
