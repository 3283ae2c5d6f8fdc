"""A region distributes the work of a layer over ranks. The layers use ranks only through a region.

A tensor-parallel pair of layers has sharded weights. The pair calls the region when ranks must communicate:

    enter               before the column-parallel layer
    leave               after the row-parallel layer, where each rank has a part of the sum
    replicated          before the use of a replicated parameter (in sequence parallelism, each rank uses it
                        on only some of the tokens)
    shard               for this rank's part of the weights
    positions           for this rank's part of the tokens
    cross_entropy       for the loss, because the logits are sharded, too

This file has the region of one process, in which all these methods are no-ops. `minipar.parallel` has the
other regions.
"""

# B: samples of the batch, T: tokens per sample, D: model width, V: size of the vocabulary;
# t, v: this rank's shards of T, V

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, cross_entropy


class Region:
    """Implements the region of one process, without communication. label: the name of the calling layer, for
    messages and errors.
    """

    def enter(self, x: Tensor, label: str) -> Tensor:
        """Converts this rank's tokens x [B, t, D] to all tokens [B, T, D], for a column-parallel layer."""
        return x

    def leave(self, x: Tensor, label: str) -> Tensor:
        """Returns the sum over ranks for this rank's tokens, [B, t, D]. x [B, T, D]: this rank's part of the
        sum.
        """
        return x

    def replicated(self, w: Tensor, label: str) -> Tensor:
        """Returns a replicated parameter w for use on this rank's tokens. The values are unchanged."""
        return w

    def shard(self, n: int, what: str) -> slice:
        """Returns which of n units this rank holds, as a slice. what: the name of the units, such as heads,
        hidden units, rows of the vocabulary.
        """
        return slice(0, n)

    def positions(self, T: int) -> slice:
        """Returns which of T tokens this rank holds between the pairs of layers, as a slice."""
        return slice(0, T)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        """Returns the loss of autograd's cross_entropy. All ranks get the same loss. logits [B, T, v]: the
        logits of this rank's shard of the vocabulary. rows: the range of this shard.
        """
        return cross_entropy(logits, targets, divisor)


SERIAL = Region()
