"""The forward pass of a batch of rows through a GPT with a paged cache."""

# m rows whose logits are wanted, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from minipar.autograd import no_grad
from minipar.config import ModelConfig
from minipar.inference.batch import RowBatch
from minipar.inference.forward import Forward, PlainForward, dtype_of, embed
from minipar.inference.invariant import TiledForward, require_invariant
from minipar.inference.paged_cache import PagedCache, cache_layers
from minipar.nn import GPT


class Runner(Protocol):
    """What the engine needs of a model: the logits of a batch, and the blocks of its cache."""

    config: ModelConfig
    caches: Sequence[PagedCache]                                    # of this rank, one per part of the model

    def run(self, batch: RowBatch) -> np.ndarray:
        """The logits [m, V] of the wanted rows; stores the keys and values of all rows."""


class LocalRunner:
    """A whole model in this process. invariant: see invariant.py."""

    def __init__(self, model: GPT, blocks: int, block_size: int, *, invariant: bool = False):
        self.model, self.config = model, model.config
        self.caches = [PagedCache(cache_layers(model), blocks, block_size, dtype_of(model))]
        self._forward: Forward = forward_of([model], invariant)

    def run(self, batch: RowBatch) -> np.ndarray:
        with no_grad():
            x = self._forward.blocks(self.model, embed(self.model, batch), self.caches[0], batch)
            return self._forward.logits(self.model, x, batch)


def forward_of(parts: Sequence[GPT], invariant: bool) -> Forward:
    """Raises ConfigError if `invariant`, and this machine's products cannot be."""
    if not invariant:
        return PlainForward()
    for part in parts:
        require_invariant(part)
    return TiledForward()
