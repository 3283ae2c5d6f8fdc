"""Tensor parallelism: a pair of linear layers on several ranks, with one all-reduce forward and one backward.

    enter = f: no-op forward, all-reduce backward        leave = g: all-reduce forward, no-op backward

Between the two, each rank multiplies by its own columns, then by its own rows. Weights and their gradients
are never sent. The operations between the pairs (LayerNorm, residuals, dropout) are replicated: every rank
computes them on all tokens.

Sequence parallelism shards these operations too, by tokens. Then the pair enters with an all-gather and
leaves with a reduce-scatter. Together they move as many bytes as the all-reduce, and each rank keeps only the
activations of its own tokens.
"""

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
    """The layers' weights are sharded over the ranks of `tp` (Shoeybi et al. 2019).

    Shards may have different sizes, but none may be empty.
    """

    def __init__(self, tp: Communicator):
        self.tp = tp

    def enter(self, x: Tensor, label: str) -> Tensor:
        return copy_to_region(x, self.tp, label)

    def leave(self, x: Tensor, label: str) -> Tensor:
        return reduce_from_region(x, self.tp, label)

    def shard(self, n: int, what: str) -> slice:
        """This rank's slice of n elements. what: their name, for errors. Raises LayoutError if n < tp."""
        return range_of_rank(n, what, self.tp.size, self.tp.rank)

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        return vocab_parallel_cross_entropy(logits, targets, divisor, self.tp, rows, vocabulary)


class SequenceRegion(TensorRegion):
    """Tensor parallelism where, between the layer pairs, each rank holds a shard of the tokens (Korthikanti
    et al. 2022).

    A parameter that is used there is applied only to this rank's tokens. So its gradient is a partial sum,
    and `replicated` adds the partial sums of all ranks.
    """

    def __init__(self, tp: Communicator, length: int):
        """length: T, the number of tokens in every sample.

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
        """This rank's positions of T. Raises ShapeError if T is not the length of the region."""
        if T != sum(self.counts):
            raise ShapeError(f"this sequence-parallel region is for samples of {sum(self.counts)} tokens, "
                             f"not {T}")
        return self.own_positions


def range_of_rank(n: int, what: str, tp: int, rank: int) -> slice:
    """The slice of n elements on rank `rank` of `tp`: as even as possible, the first ranks have one more.

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
    """The region for this group: SERIAL if it has one rank."""
    if tp.size == 1:
        return SERIAL
    return SequenceRegion(tp, length) if sequence_parallel else TensorRegion(tp)
