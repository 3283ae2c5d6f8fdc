"""Tensor parallelism: a layer pair on several ranks, with one all-reduce forward and one backward.

    enter = f: nothing forward, all-reduce backward        leave = g: all-reduce forward, nothing backward

Between the two, each rank computes its own columns, then its own rows, and no weight or weight gradient ever
travels. What lies between the pairs (LayerNorm, residuals, dropout) every rank does alike on all tokens.

Sequence parallelism cuts that part too, by tokens: the pair enters with an all-gather and leaves with a
reduce-scatter, which together move just as many bytes, and each rank keeps only its share of those
activations.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor
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
    """The layers' weights are cut over the ranks of `tp` (Shoeybi et al. 2019).

    Uneven cuts are fine; an empty one is not.
    """

    def __init__(self, tp: Communicator):
        self.tp = tp

    def enter(self, x: Tensor, label: str) -> Tensor:
        return copy_to_region(x, self.tp, label)

    def leave(self, x: Tensor, label: str) -> Tensor:
        return reduce_from_region(x, self.tp, label)

    def shard(self, n: int, what: str) -> slice:
        """Raises LayoutError where a rank would be left with nothing."""
        if n < self.tp.size:
            raise LayoutError(f"{n} {what} over tp={self.tp.size} leaves ranks without any; choose tp <= {n} "
                              f"or more {what}")
        counts = shares(n, self.tp)
        start = sum(counts[: self.tp.rank])
        return slice(start, start + counts[self.tp.rank])

    def cross_entropy(self, logits: Tensor, targets: np.ndarray, divisor: int | None, rows: slice,
                      vocabulary: int) -> Tensor:
        return vocab_parallel_cross_entropy(logits, targets, divisor, self.tp, rows, vocabulary)


class SequenceRegion(TensorRegion):
    """Tensor parallel, and between the layer pairs each rank holds a share of the tokens (Korthikanti et al.
    2022).

    A parameter that is used there sees only this rank's tokens, so its gradient is a part of a sum:
    `replicated` adds the parts.
    """

    def __init__(self, tp: Communicator, length: int):
        """length: T, how many tokens every sample has.

        Raises LayoutError where there are fewer than ranks.
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
        """Raises ShapeError for samples of another length than the region was made for."""
        if T != sum(self.counts):
            raise ShapeError(f"this sequence-parallel region is for samples of {sum(self.counts)} tokens, "
                             f"not {T}")
        return self.own_positions


def region_of(tp: Communicator, length: int, sequence_parallel: bool) -> Region:
    """The region for this group: SERIAL where it has one rank."""
    if tp.size == 1:
        return SERIAL
    return SequenceRegion(tp, length) if sequence_parallel else TensorRegion(tp)
