"""Dropout that every layout repeats.

A mask is drawn for one sample at a time, from a stream that is keyed by the seed, the layer's name, the step and the
sample's number in the global batch. So it does not matter which rank computes a sample, nor in which micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minipar.autograd import Tensor, dropout
from minipar.rng import stream


@dataclass(frozen=True)
class Noise:
    """Which masks to draw: for `rate`, in one step, for the samples of the global batch whose numbers are `rows` [B]."""

    rate: float
    seed: int
    step: int
    rows: np.ndarray

    def drop(self, x: Tensor, name: str) -> Tensor:
        """Dropout on x [B, T, D] as the layer `name` does it."""
        if not self.rate:
            return x
        streams = (stream(self.seed, "dropout", name, self.step, row) for row in self.rows.tolist())
        return dropout(x, np.stack([rng.random(x.shape[1:]) >= self.rate for rng in streams]), self.rate)


SILENCE = Noise(0.0, 0, 0, np.empty(0, np.int64))                   # no dropout: evaluation and generation
