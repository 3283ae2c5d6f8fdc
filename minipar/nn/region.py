"""A region distributes the work of a layer over ranks. The layers have no other contact with ranks.

A tensor-parallel pair of layers has sharded weights. It calls the region wherever ranks must cooperate:

    enter               before the column-parallel layer
    leave               after the row-parallel layer, where each rank has a part of the sum
    replicated          for a parameter that every rank holds whole, but may use on only some of the tokens
    shard, positions    this rank's part of the weights, and of the tokens
    cross_entropy       the loss, since the logits are sharded, too

This file has the region of one process, where all of these are no-ops. `minipar.parallel` has the others.
"""

# B batch, T tokens, D model width, V vocabulary; t, v: this rank's share of T, V

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, cross_entropy


class Region:
    """The region of one process. label: the name of the calling layer, for messages and errors."""

    def enter(self, x: Tensor, label: str) -> Tensor:
        """x [B, t, D] as a column-parallel layer needs it: all tokens, on every rank -> [B, T, D]."""
        return x

    def leave(self, x: Tensor, label: str) -> Tensor:
        """x [B, T, D], this rank's part of a sum -> the sum over ranks, for this rank's tokens: [B, t, D].
        """
        return x

    def replicated(self, w: Tensor, label: str) -> Tensor:
        """A replicated parameter w, before it is used on this rank's tokens."""
        return w

    def shard(self, n: int, what: str) -> slice:
        """The range of the n units (`what`: heads, hidden units, rows of the vocabulary) on this rank."""
        return slice(0, n)

    def positions(self, T: int) -> slice:
        """The range of the T tokens on this rank between the layer pairs."""
        return slice(0, T)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        """The loss (see autograd's cross_entropy), the same on every rank, from this rank's part of the
        logits [B, T, v].

        rows: the range of the vocabulary in this part.
        """
        return cross_entropy(logits, targets, divisor)


SERIAL = Region()
