"""Bugs of sequence parallelism: gradients that cover only some of the tokens, and wrong positions of tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minipar.autograd import Tensor
from minipar.nn import Dropout
from minipar.parallel.operators import copy_to_region, gather_from_region, scatter_to_region
from minipar.parallel.tensor import SequenceRegion
from minipar.proof.mutants.mutant import Change, mutant
from minipar.proof.mutants.tensor import ROWS


@mutant("gradients", tp=2, sequence_parallel=True)
def norm_gradients_not_reduced() -> list[Change]:
    """The LayerNorms of each rank see only this rank's tokens, and their gradients are not summed over tp. So
    the copies of the LayerNorms drift apart.
    """
    return _not_shared(lambda label: "norm" in label)


@mutant("gradients", tp=2, sequence_parallel=True)
def row_bias_gradients_not_reduced() -> list[Change]:
    """Each rank adds the biases of row-parallel layers to its own tokens only. The gradients of the biases
    are not summed over tp.
    """
    return _not_shared(lambda label: label.endswith(ROWS))


@mutant("gradients", tp=2, sequence_parallel=True)
def position_gradients_not_reduced() -> list[Change]:
    """The gradients of the position table are not summed over tp. So each rank updates only the positions of
    its own tokens.
    """
    return _not_shared(lambda label: label == "positions")


def _not_shared(forgotten: Callable[[str], bool]) -> list[Change]:
    def replicated(region: SequenceRegion, w: Tensor, label: str) -> Tensor:
        return w if forgotten(label) else copy_to_region(w, region.tp, label)
    return [Change(SequenceRegion, "replicated", replicated)]


@mutant("backward", tp=2, sequence_parallel=True)
def the_other_all_gather() -> list[Change]:
    """The backward of the all-gather takes this rank's slice of the gradient. It should be a reduce-scatter.
    """
    def enter(region: SequenceRegion, x: Tensor, label: str) -> Tensor:
        return gather_from_region(x, region.tp, label, region.counts, axis=1)
    return [Change(SequenceRegion, "enter", enter)]


@mutant("forward", tp=2, sequence_parallel=True)
def scatter_for_reduce_scatter() -> list[Change]:
    """A scatter replaces the reduce-scatter: each rank keeps its tokens of its own partial sum. So the
    partial sums are not added.
    """
    def leave(region: SequenceRegion, x: Tensor, label: str) -> Tensor:
        return scatter_to_region(x, region.tp, label, region.counts, axis=1)
    return [Change(SequenceRegion, "leave", leave)]


@mutant("forward", tp=2, sequence_parallel=True)
def positions_from_zero() -> list[Change]:
    """Each rank counts the positions of its tokens from zero."""
    return [Change(SequenceRegion, "positions", lambda region, T: slice(0, region.counts[region.tp.rank]))]


@mutant("forward", tp=2, sequence_parallel=True, dropout=0.2)
def dropout_from_zero() -> list[Change]:
    """Each rank uses the dropout mask of the first tokens, although it holds other tokens."""
    def on(dropout: Dropout, positions: slice, length: int) -> Dropout:
        return replace(dropout, positions=slice(0, positions.stop - positions.start), length=length)
    return [Change(Dropout, "on", on)]
