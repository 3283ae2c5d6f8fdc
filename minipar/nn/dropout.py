"""Dropout that every layout repeats.

A mask is drawn for one whole sample at a time, from a stream that is keyed by the seed, the layer's name, the
step and the sample's number in the global batch. So it does not matter which rank computes a sample, in which
micro-batch, or which ranks share its tokens.
"""

# B samples, T tokens, D model width; t: this rank's share of T

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from minipar.autograd import Tensor, dropout
from minipar.errors import ConfigError
from minipar.rng import stream


@dataclass(frozen=True)
class Dropout:
    """Which masks to draw: for `rate`, in one step, for the samples of the global batch whose numbers are
    `rows` [B].

    `on` adds which tokens of each sample a rank holds.
    """

    rate: float
    seed: int
    step: int
    rows: np.ndarray
    positions: slice = field(default_factory=lambda: slice(0, 0))
    length: int = 0

    def on(self, positions: slice, length: int) -> Dropout:
        """The same masks for a rank that holds `positions` of `length` tokens."""
        return replace(self, positions=positions, length=length)

    def drop(self, x: Tensor, name: str) -> Tensor:
        """Dropout on x [B, t, D] as the layer `name` does it. Raises ConfigError before `on`."""
        if not self.rate:
            return x
        if not self.length:
            raise ConfigError("dropout draws its masks for whole samples; call on(positions, length) first")
        streams = (stream(self.seed, "dropout", name, self.step, row) for row in self.rows.tolist())
        whole = np.stack([rng.random((self.length, x.shape[-1])) for rng in streams])           # [B, T, D]
        return dropout(x, whole[:, self.positions] >= self.rate, self.rate)


NO_DROPOUT = Dropout(0.0, 0, 0, np.empty(0, np.int64))             # evaluation and generation
