"""Bugs of sequence parallelism: gradients that cover only a part of the tokens, and wrong token positions.
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
    """Each rank's LayerNorms get a part of the tokens, and their gradients are not summed. So replicas drift
    apart.
    """
    return _not_shared(lambda label: "norm" in label)


@mutant("gradients", tp=2, sequence_parallel=True)
def row_bias_gradients_not_reduced() -> list[Change]:
    """The biases of row-parallel layers are added to a part of the tokens, and their gradients are not
    summed.
    """
    return _not_shared(lambda label: label.endswith(ROWS))


@mutant("gradients", tp=2, sequence_parallel=True)
def position_gradients_not_reduced() -> list[Change]:
    """Each rank updates only the positions of its own tokens, because the gradients are not summed."""
    return _not_shared(lambda label: label == "positions")


def _not_shared(forgotten: Callable[[str], bool]) -> list[Change]:
    def replicated(region: SequenceRegion, w: Tensor, label: str) -> Tensor:
        return w if forgotten(label) else copy_to_region(w, region.tp, label)
    return [Change(SequenceRegion, "replicated", replicated)]


@mutant("backward", tp=2, sequence_parallel=True)
def the_other_all_gather() -> list[Change]:
    """In backward, the all-gather takes this rank's slice of the gradient. A reduce-scatter would be right.
    """
    def enter(region: SequenceRegion, x: Tensor, label: str) -> Tensor:
        return gather_from_region(x, region.tp, label, region.counts, axis=1)
    return [Change(SequenceRegion, "enter", enter)]


@mutant("forward", tp=2, sequence_parallel=True)
def scatter_for_reduce_scatter() -> list[Change]:
    """Each rank keeps its own tokens of its own partial sum. The partial sums are not added."""
    def leave(region: SequenceRegion, x: Tensor, label: str) -> Tensor:
        return scatter_to_region(x, region.tp, label, region.counts, axis=1)
    return [Change(SequenceRegion, "leave", leave)]


@mutant("forward", tp=2, sequence_parallel=True)
def positions_from_zero() -> list[Change]:
    """Each rank numbers its own tokens from zero."""
    return [Change(SequenceRegion, "positions", lambda region, T: slice(0, region.counts[region.tp.rank]))]


@mutant("forward", tp=2, sequence_parallel=True, dropout=0.2)
def dropout_from_zero() -> list[Change]:
    """Each rank uses the dropout mask of the first tokens, although it holds other tokens."""
    def on(dropout: Dropout, positions: slice, length: int) -> Dropout:
        return replace(dropout, positions=slice(0, positions.stop - positions.start), length=length)
    return [Change(Dropout, "on", on)]
