"""Computes the forward pass of a batch with a GPT and a paged KV cache."""

# m rows whose logits are needed, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from minipar.autograd import no_grad
from minipar.compress.quantize.products import Integer
from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.batch import RowBatch
from minipar.inference.forward import Forward, PlainForward, dtype_of, embed
from minipar.inference.invariant import TiledForward, require_invariant
from minipar.inference.options import EngineOptions
from minipar.inference.paged_cache import PagedCache
from minipar.inference.quantized_cache import QuantizedCache
from minipar.nn import GPT, LinearLayer


class Runner(Protocol):
    """The interface between the engine and a model: a runner computes the logits of a batch, and has the
    caches.
    """

    config: ModelConfig

    @property
    def caches(self) -> Sequence[PagedCache]:
        """The caches of this rank, one per part (pipeline stage) of the model."""

    def run(self, batch: RowBatch) -> np.ndarray:
        """Return the logits [m, V] of the wanted rows, and store the keys and values of all rows."""


class LocalRunner:
    """A Runner with a whole model in this process."""

    def __init__(self, model: GPT, options: EngineOptions):
        """Raises ConfigError if one row (token) of a batch can change another row, or if `options.invariant`
        is impossible on this machine.
        """
        self.model, self.config = model, model.config
        self.caches: Sequence[PagedCache] = [cache_of(model, options)]
        self._forward = forward_of([model], options)

    def run(self, batch: RowBatch) -> np.ndarray:
        with no_grad():
            x = self._forward.blocks(self.model, embed(self.model, batch), self.caches[0], batch)
            return self._forward.logits(self.model, x, batch)


def cache_of(part: GPT, options: EngineOptions) -> PagedCache:
    """Return the cache for a model or a part of it. A pruned model may have fewer heads in some layers."""
    kind = {"float": PagedCache, "int8": QuantizedCache}[options.kv]
    layers = [(block.attention.heads, part.config.head_width) for block in part.blocks]
    return kind(layers, options.blocks_of(part.config.context), options.block_size, dtype_of(part))


def forward_of(parts: Sequence[GPT], options: EngineOptions) -> Forward:
    """Return the implementation of the forward pass for these options. parts: the parts of the model on this
    rank. Raises the errors of LocalRunner.
    """
    for part in parts:
        require_independent_rows(part)
        if options.invariant:
            require_invariant(part)
    return TiledForward() if options.invariant else PlainForward()


def require_independent_rows(part: GPT) -> None:
    """Raises ConfigError if a quantised layer rounds all rows (tokens) of a batch with one common scale. The
    result of a request would then depend on the other requests in its batch.
    """
    for module in part.modules():
        product = module.product if isinstance(module, LinearLayer) else None
        if isinstance(product, Integer) and product.limits is None and product.activations.axis is None:
            raise ConfigError(f"{module.name} rounds its inputs over the range of all rows, so a request "
                              "would depend on its batch; quantise with a scale per row", item=module.name)
