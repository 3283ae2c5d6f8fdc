"""Defines the layers with weights: linear layers, LayerNorm, and the table of the vocabulary.

Here a sample is a row: y = x W. The course documents write y = W x, where a sample is a column. If the
documents split W by rows, each rank computes some outputs. This is column-parallel here. If the documents
split W by columns, each rank takes some inputs, and the results are summed. This is row-parallel here.
"""

# B: samples of the batch, T: tokens per sample, I: inputs, O: outputs, D: model width, V: size of the
# vocabulary; t, i, o, v: this rank's shards of T, I, O, V

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.autograd import Tensor, add_bias, embedding, layernorm, linear, unembedding
from minipar.errors import DataError
from minipar.nn.module import Module
from minipar.nn.parameter import ONES, ZEROS, Parameter, Shard, Start
from minipar.nn.region import SERIAL, Region

NORMAL = Start(std=0.02)                                            # GPT-2's initialisation

Product = Callable[[Tensor, Tensor | None], Tensor]  # (x [..., I], b [O] or None) -> x W + b [..., O]


class LinearLayer(Module):
    """The base class of linear layers. It has a weight and a product with this weight. `minipar.compress` can
    replace the product.
    """

    weight: Parameter
    bias: Parameter | None
    product: Product | None = None                                  # None: x times the weight

    def multiply(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.product(x, bias) if self.product else linear(x, self.weight, bias)


class Linear(LinearLayer):
    """Computes y = x W + b on one rank: x [..., I] -> [..., O]."""

    def __init__(self, name: str, inputs: int, outputs: int, *, bias: bool = True, start: Start = NORMAL):
        super().__init__(name)
        self.weight = Parameter(f"{name}.weight", (inputs, outputs), start)                     # [I, O]
        self.bias = Parameter(f"{name}.bias", (outputs,), ZEROS) if bias else None              # [O]

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(x, self.bias)


class ColumnParallelLinear(LinearLayer):
    """Each rank computes some of the outputs: x [B, t, I] -> [B, T, o]. It is the first layer of a pair, and
    its outputs are not gathered.

    The outputs are `parts` blocks side by side (3 for q, k and v). A block consists of units of `unit`
    columns. For attention, a unit is a head. Each unit is whole on one rank. what: the name of the units in
    errors.
    """

    def __init__(self, name: str, inputs: int, outputs: int, region: Region = SERIAL, *, parts: int = 1,
                 unit: int = 1, what: str = "columns", bias: bool = True, start: Start = NORMAL):
        super().__init__(name)
        block = outputs // parts
        mine = region.shard(block // unit, what)
        columns = tuple(slice(part * block + mine.start * unit, part * block + mine.stop * unit)
                        for part in range(parts))
        self.region = region
        self.weight = Parameter(f"{name}.weight", (inputs, outputs), start, Shard(1, columns))    # [I, o]
        self.bias = Parameter(f"{name}.bias", (outputs,), ZEROS,
                              Shard(0, columns)) if bias else None          # [o]

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(self.region.enter(x, self.name), self.bias)


class RowParallelLinear(LinearLayer):
    """Each rank takes some of the inputs, and the results are summed: x [B, T, i] -> [B, t, O]. It is the
    second layer of a pair.

    The bias and the residual are added once, after the sum.
    """

    def __init__(self, name: str, inputs: int, outputs: int, region: Region = SERIAL, *, unit: int = 1,
                 what: str = "rows", bias: bool = True, start: Start = NORMAL):
        super().__init__(name)
        mine = region.shard(inputs // unit, what)
        rows = (slice(mine.start * unit, mine.stop * unit),)
        self.region = region
        self.weight = Parameter(f"{name}.weight", (inputs, outputs), start, Shard(0, rows))       # [i, O]
        self.bias = Parameter(f"{name}.bias", (outputs,), ZEROS) if bias else None              # [O]

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        y = self.region.leave(self.multiply(x), self.name)          # [B, t, O]
        return add_bias(y, self.region.replicated(self.bias, self.name) if self.bias else None, residual)


class LayerNorm(Module):
    """Changes each row of x [..., D] to mean 0 and variance 1, then scales and shifts it."""

    def __init__(self, name: str, width: int, region: Region = SERIAL, *, bias: bool = True):
        super().__init__(name)
        self.region = region
        self.weight = Parameter(f"{name}.weight", (width,), ONES)                               # [D]
        self.bias = Parameter(f"{name}.bias", (width,), ZEROS) if bias else None                # [D]

    def forward(self, x: Tensor) -> Tensor:
        bias = self.region.replicated(self.bias, self.name) if self.bias else None
        return layernorm(x, self.region.replicated(self.weight, self.name), bias)


class VocabParallelEmbedding(Module):
    """A table with one row per token of the vocabulary. Each rank holds some of the rows.

    `look_up` maps tokens [B, T] to [B, t, D]. At the other end of the model, `logits` maps [B, t, D] to [B,
    T, v].
    """

    def __init__(self, name: str, vocabulary: int, width: int, region: Region = SERIAL):
        super().__init__(name)
        self.region, self.vocabulary = region, vocabulary
        self.rows = region.shard(vocabulary, "rows of the vocabulary")
        self.weight = Parameter(f"{name}.weight", (vocabulary, width), NORMAL,
                                Shard(0, (self.rows,)))       # [v, D]

    def look_up(self, tokens: np.ndarray) -> Tensor:
        """Returns the rows of the tokens. Raises DataError for a token outside the vocabulary."""
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocabulary:
            raise DataError(f"tokens run from {tokens.min()} to {tokens.max()}, the vocabulary has "
                            f"{self.vocabulary}", item="vocabulary")
        x = embedding(tokens, self.weight, self.rows)               # [B, T, D]; zeros for rows of other ranks
        return self.region.leave(x, self.name)

    def logits(self, x: Tensor) -> Tensor:
        """Returns the logits of this rank's rows of the vocabulary."""
        return unembedding(self.region.enter(x, self.name), self.weight)
