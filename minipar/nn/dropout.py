"""Computes dropout with the same masks in every layout.

A mask is drawn for one whole sample. It comes from a random stream with the key (seed, name of the layer,
number of the training step, number of the sample in the global batch). So the mask does not depend on the
rank of the sample, on the micro-batch, or on the distribution of the tokens over ranks.
"""

# B: samples, T: tokens per sample, D: model width, t: this rank's shard of T

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from minipar.autograd import Tensor, dropout
from minipar.errors import ConfigError
from minipar.rng import stream


@dataclass(frozen=True)
class Dropout:
    """Applies dropout in one training step, to the samples `rows` [B] of the global batch.

    `on` restricts the masks to the tokens of a rank.
    """

    rate: float
    seed: int
    step: int
    rows: np.ndarray
    positions: slice = field(default_factory=lambda: slice(0, 0))
    length: int = 0

    def on(self, positions: slice, length: int) -> Dropout:
        """Returns the same dropout for a rank that holds `positions` of `length` tokens."""
        return replace(self, positions=positions, length=length)

    def drop(self, x: Tensor, name: str) -> Tensor:
        """Applies dropout to x [B, t, D] in the layer `name`. Raises ConfigError if `on` was not called
        before.
        """
        if not self.rate:
            return x
        if not self.length:
            raise ConfigError("dropout draws its masks for whole samples; call on(positions, length) first")
        streams = (stream(self.seed, "dropout", name, self.step, row) for row in self.rows.tolist())
        masks = [rng.random((self.length, x.shape[-1])) for rng in streams]
        whole = np.array(masks).reshape(len(masks), self.length, x.shape[-1])                   # [B, T, D]
        return dropout(x, whole[:, self.positions] >= self.rate, self.rate)


NO_DROPOUT = Dropout(0.0, 0, 0, np.empty(0, np.int64))             # for evaluation and generation
