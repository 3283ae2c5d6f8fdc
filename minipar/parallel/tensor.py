"""Tensor parallelism distributes a pair of linear layers over ranks. The pair needs one all-reduce in forward
and one in backward. A region defines the operators at both ends of the pair (f and g of Megatron-LM):

    enter = f: a no-op in forward, an all-reduce in backward
    leave = g: an all-reduce in forward, a no-op in backward

Between `enter` and `leave`, each rank multiplies by its own columns of the first matrix, then by its own rows
of the second matrix. Weights and their gradients are never sent. The operations between the pairs (LayerNorm,
residuals, dropout) are replicated: every rank computes them on all tokens.

Sequence parallelism shards these operations, too: each rank computes them on a shard of the tokens. In this
case `enter` is an all-gather and `leave` is a reduce-scatter. Together they send as many bytes as the
all-reduce. Between the pairs, each rank keeps only the activations of its own tokens.
"""

# tp: the axis of tensor parallelism

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor
from minipar.comm.collectives import even_counts
from minipar.comm.protocol import Communicator
from minipar.errors import LayoutError, ShapeError
from minipar.nn import SERIAL, Region
from minipar.parallel.operators import (
    copy_to_region,
    gather_from_sequence,
    reduce_from_region,
    reduce_scatter_to_sequence,
    shares,
)
from minipar.parallel.vocabulary import vocab_parallel_cross_entropy


class TensorRegion(Region):
    """Shards the weights of layers over the ranks of `tp` (Shoeybi et al. 2019).

    Shards may have different sizes, but no shard may be empty.
    """

    def __init__(self, tp: Communicator):
        self.tp = tp

    def enter(self, x: Tensor, label: str) -> Tensor:
        return copy_to_region(x, self.tp, label)

    def leave(self, x: Tensor, label: str) -> Tensor:
        return reduce_from_region(x, self.tp, label)

    def shard(self, n: int, what: str) -> slice:
        """Returns this rank's slice of n elements. what: the name of the elements, for errors. Raises
        LayoutError if n < tp.
        """
        return range_of_rank(n, what, self.tp.size, self.tp.rank)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        return vocab_parallel_cross_entropy(logits, targets, divisor, self.tp, rows, vocabulary)


class SequenceRegion(TensorRegion):
    """Implements tensor parallelism in which each rank holds a shard of the tokens between the pairs of
    layers (Korthikanti et al. 2022).

    A parameter between the pairs of layers is applied only to this rank's tokens. So its gradient is a
    partial sum, and `replicated` adds the partial sums of all ranks.
    """

    def __init__(self, tp: Communicator, length: int):
        """length: T, the number of tokens per sample.

        Raises LayoutError if there are fewer tokens than ranks.
        """
        super().__init__(tp)
        self.own_positions = self.shard(length, "tokens of context")
        self.counts = shares(length, tp)

    def enter(self, x: Tensor, label: str) -> Tensor:
        return gather_from_sequence(x, self.tp, label, self.counts)

    def leave(self, x: Tensor, label: str) -> Tensor:
        return reduce_scatter_to_sequence(x, self.tp, label, self.counts)

    def replicated(self, w: Tensor, label: str) -> Tensor:
        return copy_to_region(w, self.tp, label)

    def positions(self, T: int) -> slice:
        """Returns the slice of the T positions that this rank holds. Raises ShapeError if T is not the length
        of the region.
        """
        if T != sum(self.counts):
            raise ShapeError(f"this sequence-parallel region is for samples of {sum(self.counts)} tokens, "
                             f"not {T}")
        return self.own_positions


def range_of_rank(n: int, what: str, tp: int, rank: int) -> slice:
    """Returns the slice of n elements on rank `rank` of `tp`. The division is as even as possible. If it has
    a remainder, the first ranks have one more element.

    Raises LayoutError if n < tp. what: the name of the elements, for errors.

    >>> range_of_rank(5, "heads", 2, 1)
    slice(3, 5, None)
    """
    if n < tp:
        raise LayoutError(f"{n} {what} over tp={tp} leaves ranks without any; choose tp <= {n} or more "
                          f"{what}")
    counts = even_counts(n, tp)
    start = sum(counts[:rank])
    return slice(start, start + counts[rank])


def region_of(tp: Communicator, length: int, sequence_parallel: bool) -> Region:
    """Returns the region for this group. It is SERIAL if the group has one rank."""
    if tp.size == 1:
        return SERIAL
    return SequenceRegion(tp, length) if sequence_parallel else TensorRegion(tp)
