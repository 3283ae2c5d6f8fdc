"""Defines GPT-2 (Radford et al. 2019).

The model has pre-LayerNorm blocks, tanh-GELU, learned positions, and a head that may share the token
embedding. All layouts use the same class. The region (region.py) distributes the layers over ranks, and the
part selects the layers of a pipeline stage. The attention core is an argument. It computes attention from
queries, keys and values.
"""

# B: samples of the batch, T: tokens per sample, D: model width, H: heads, K: head width, F: hidden width,
# V: size of the vocabulary; t, h, f, v: this rank's shards of T, H, F, V

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from minipar.arrays import refusal
from minipar.autograd import Tensor, causal_attention, gelu
from minipar.config import ModelConfig
from minipar.errors import ShapeError
from minipar.nn.dropout import NO_DROPOUT, Dropout
from minipar.nn.layers import (
    NORMAL,
    ColumnParallelLinear,
    LayerNorm,
    RowParallelLinear,
    VocabParallelEmbedding,
)
from minipar.nn.module import Module
from minipar.nn.parameter import Parameter, Start
from minipar.nn.recomputation import RECOMPUTATIONS, Attend
from minipar.nn.region import SERIAL, Region
from minipar.nn.units import ALWAYS_THERE, EMBEDDING, HEAD, Units


class Attention(Module):
    """Computes attention with h heads: x [B, t, D] -> [B, t, D]. A given residual is added to the result.

    The attention core is an argument of `forward`.
    """

    def __init__(self, name: str, config: ModelConfig, out: Start, region: Region = SERIAL):
        super().__init__(name)
        D, H, K = config.width, config.heads, config.head_width
        mine = region.shard(H, "heads")
        self.heads: int = mine.stop - mine.start                    # h
        self.qkv = ColumnParallelLinear(f"{name}.qkv", D, 3 * D, region, parts=3, unit=K, what="heads",
                                        bias=config.bias)
        self.out = RowParallelLinear(f"{name}.out", D, D, region, unit=K, what="heads", bias=config.bias,
                                     start=out)

    def forward(self, x: Tensor, attend: Attend, residual: Tensor | None = None) -> Tensor:
        return self.out.forward(attend(self.qkv.forward(x), self.heads), residual)            # [B, t, D]


class MLP(Module):
    """Computes an MLP with f hidden units: x [B, t, D] -> [B, t, D]. A given residual is added to the result.
    """

    def __init__(self, name: str, config: ModelConfig, out: Start, region: Region = SERIAL):
        super().__init__(name)
        D, F, bias = config.width, config.mlp_width, config.bias
        self.up = ColumnParallelLinear(f"{name}.up", D, F, region, what="hidden units", bias=bias)
        self.down = RowParallelLinear(f"{name}.down", F, D, region, what="hidden units", bias=bias, start=out)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return self.down.forward(gelu(self.up.forward(x)), residual)                          # [B, t, D]


class Block(Module):
    """Computes y = x + attention(norm1(x)), then y + mlp(norm2(y)). Dropout is applied to each new term
    before the addition.
    """

    def __init__(self, name: str, config: ModelConfig, region: Region = SERIAL):
        super().__init__(name)
        # smaller initial weights keep the variance of the residual over 2 * layers additions (GPT-2)
        out = Start(std=NORMAL.std / math.sqrt(2 * config.layers))
        self.norm1 = LayerNorm(f"{name}.norm1", config.width, region, bias=config.bias)
        self.attention = Attention(f"{name}.attention", config, out, region)
        self.norm2 = LayerNorm(f"{name}.norm2", config.width, region, bias=config.bias)
        self.mlp = MLP(f"{name}.mlp", config, out, region)

    def forward(self, x: Tensor, attend: Attend = causal_attention, dropout: Dropout = NO_DROPOUT) -> Tensor:
        if not dropout.rate:  # one pass adds the residual and the bias
            x = self.attention.forward(self.norm1.forward(x), attend, residual=x)
            return self.mlp.forward(self.norm2.forward(x), residual=x)
        x = x + dropout.drop(self.attention.forward(self.norm1.forward(x), attend), self.attention.name)
        return x + dropout.drop(self.mlp.forward(self.norm2.forward(x)), self.mlp.name)


@dataclass(frozen=True)
class Part:
    """Describes the part of a GPT on one pipeline stage. The first stage has the embedding, the last stage
    has the head, and each stage has some layers.
    """

    first: bool
    layers: range
    last: bool


class GPT(Module):
    """A GPT computes logits [B, T, v] from tokens [B, T]. v is this rank's shard of the vocabulary. `loss`
    also needs the targets.

    part: the part of the model; by default the whole model. Every part except the first takes activations [B,
    t, D] instead of tokens. Every part except the last returns activations. token_table: the token table, if
    another part on this rank already has it. recompute: a key of RECOMPUTATIONS. seed: if None, all weights
    stay zero, in float32.

    >>> import numpy as np, minipar as mp
    >>> model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    >>> tokens = np.array([[1, 2, 3, 4]])
    >>> model(tokens).shape
    (1, 4, 7)
    >>> round(model.loss(tokens, tokens).item(), 2)             # about ln 7 before training
    1.94
    """

    def __init__(self, config: ModelConfig, *, seed: int | None = 0, dtype: DTypeLike = np.float32,
                 region: Region = SERIAL, part: Part | None = None,
                 token_table: VocabParallelEmbedding | None = None, recompute: str = "none"):
        super().__init__("gpt")
        self.config = config
        self.region = region
        self.units: Units = ALWAYS_THERE                            # gathers weights with ZeRO
        self.recomputing = RECOMPUTATIONS[recompute]                # changes a block's forward
        self.part = part = part or Part(True, range(config.layers), True)

        def table(name: str) -> VocabParallelEmbedding:
            return VocabParallelEmbedding(name, config.vocabulary, config.width, region)

        if part.first:
            self.token_table = token_table = table("tokens")
            self.position_table = Parameter("positions.weight", (config.context, config.width), NORMAL)
        self.blocks = [Block(f"blocks.{layer}", config, region) for layer in part.layers]
        if part.last:
            self.norm = LayerNorm("norm", config.width, region, bias=config.bias)
            self.head = (token_table or table("tokens")) if config.tied else table("head")
        if seed is not None:
            self.initialise(seed, dtype)

    def forward(self, x: np.ndarray | Tensor, *,
                attend: Callable[[int], Attend] = lambda layer: causal_attention, start: int = 0,
                dropout: Dropout = NO_DROPOUT) -> Tensor:
        """Returns logits [B, T, v] for tokens [B, T] at the positions start to start + T - 1. For a part, see
        GPT.

        attend(layer): returns the attention core of a layer. Raises ShapeError if x is not an array of
        tokens, or if the positions exceed the context.
        """
        if self.part.first and ((reason := refusal(x, "iu")) or x.ndim != 2):
            raise ShapeError(f"a GPT reads tokens, an array of integers [B, T]; got {type(x).__name__} of "
                             f"shape {np.shape(x)}" + (f", {reason}" if reason else ""))
        if isinstance(x, Tensor):
            y = x
        else:
            dropout = dropout.on(self.region.positions(x.shape[1]), x.shape[1])
            y = self.embed(x, start, dropout)
        for layer, block in zip(self.part.layers, self.blocks, strict=True):
            self.units.before_forward(block.name)
            y = self.recomputing(block.forward)(y, attend(layer), dropout)                    # [B, t, D]
            y = self.units.before_backward(block.name, y)
        if not self.part.last:
            return y
        self.units.before_forward(HEAD)
        return self.units.before_backward(HEAD, self.head.logits(self.norm.forward(y)))       # [B, T, v]

    def embed(self, tokens: np.ndarray, start: int, dropout: Dropout) -> Tensor:
        """Returns the embedding [B, t, D] of tokens [B, T]."""
        T = tokens.shape[1]
        if start + T > self.config.context:
            raise ShapeError(f"{start + T} tokens are more than the context of {self.config.context}",
                             item="context")
        self.units.before_forward(EMBEDDING)
        mine = self.region.positions(T)
        table = self.region.replicated(self.position_table, "positions")
        positions = table[start + mine.start : start + mine.stop]
        y = dropout.drop(self.token_table.look_up(tokens) + positions, "embedding")
        return self.units.before_backward(EMBEDDING, y)

    def loss(self, x: np.ndarray | Tensor, targets: np.ndarray, *, count: int | None = None,
             dropout: Dropout = NO_DROPOUT) -> Tensor:
        """Returns the cross-entropy in nats, summed over the counted targets and divided by `count`. The
        default of `count` is the number of counted targets.

        All micro-batches divide by the count of the whole batch, see cross_entropy.
        """
        logits = self.forward(x, dropout=dropout)                   # [B, T, v]
        return self.region.cross_entropy(logits, targets, count, self.head.rows, self.head.vocabulary)
