"""A region says how a layer's work is spread over ranks. The layers know nothing else of ranks.

A tensor-parallel pair of layers has its weights in shards, and asks the region where ranks must work
together:

    enter               before the columns' shards
    leave               after the rows' shards, where each rank has a part of the sum
    replicated          for a parameter that every rank holds whole but may use on a share of the tokens
    shard, positions    this rank's share of the weights, and of the tokens
    cross_entropy       the loss, since the logits are sharded too

Here is the region of one process, where nothing is to be done; `minipar.parallel` has the others.
"""

# B batch, T tokens, D model width, V vocabulary; t, v: this rank's share of T, V

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, cross_entropy


class Region:
    """One process. `label` is the name of the layer that asks: it labels messages and errors."""

    def enter(self, x: Tensor, label: str) -> Tensor:
        """x [B, t, D] as a column-parallel layer needs it: all tokens, on every rank -> [B, T, D]."""
        return x

    def leave(self, x: Tensor, label: str) -> Tensor:
        """The sum over ranks, of which x [B, T, D] is this rank's part, for this rank's tokens -> [B, t,
        D].
        """
        return x

    def replicated(self, w: Tensor, label: str) -> Tensor:
        """A replicated parameter, about to be used on this rank's tokens."""
        return w

    def shard(self, n: int, what: str) -> slice:
        """Which of n units (`what`: heads, hidden units, rows of the vocabulary) this rank holds."""
        return slice(0, n)

    def positions(self, T: int) -> slice:
        """Which of T tokens this rank holds between the layer pairs."""
        return slice(0, T)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        """The loss (see autograd's cross_entropy), the same on every rank, from this rank's part of the
        logits [B, T, v].

        rows: which of the vocabulary's entries the part is for.
        """
        return cross_entropy(logits, targets, divisor)


SERIAL = Region()
