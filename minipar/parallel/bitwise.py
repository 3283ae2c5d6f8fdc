"""Computes a sum over samples that is bitwise equal for every number of ranks.

Floating-point addition is not associative, so a sum depends on the grouping of its terms. Here the grouping
is fixed for the whole batch: a binary tree over the samples 0 to B - 1 that halves every range of samples.
Each rank computes the gradients of its own samples, one by one, and adds the subtrees that it owns
completely. If a subtree spans several ranks, the rank with the first sample of its right half sends the sum
of this half to the rank with the first sample of its left half. So the additions are the same for every dp
and every number of micro-batches.

Example: 4 samples are always added as (g0 + g1) + (g2 + g3). With dp=2, rank 1 computes g2 + g3 and sends
this sum to rank 0. With dp=4, rank 3 sends g3 to rank 2, rank 1 sends g1 to rank 0, then rank 2 sends g2 + g3
to rank 0.
"""

# n: number of elements of the gradient
# dp: the axis of data parallelism

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import broadcast
from minipar.comm.protocol import Communicator


def tree_sum(leaf: Callable[[int], np.ndarray], shares: list[int], dp: Communicator) -> np.ndarray:
    """Returns the sum of `leaf(sample)` [n] over all samples, bitwise equal on every rank and for all
    `shares`.

    shares: the number of samples of each rank, at least one. The samples of rank r follow the samples of
    rank r - 1. leaf: a function that is called once for each of this rank's samples, in order. It must return
    a new array in each call. All ranks call `tree_sum` together.
    """
    owners = np.repeat(np.arange(dp.size), shares)                  # the owner of each sample
    total = _subtree(leaf, 0, owners, dp)
    assert total is not None, "every rank has a sample"
    return broadcast(dp, total, label="gradient tree result", out=total)


def _subtree(leaf: Callable[[int], np.ndarray], first: int, owners: np.ndarray,
             dp: Communicator) -> np.ndarray | None:
    """Returns the sum of `leaf` over a range of samples, on the owner of the first sample. The range begins
    at `first` and has one sample for each entry of `owners`. On every other rank, returns the sum of a right
    half, or None if the rank owns no sample of the range.
    """
    if len(owners) == 1:
        return leaf(first)
    middle = (len(owners) + 1) // 2
    left, right = int(owners[0]), int(owners[middle])
    total = part = None
    if dp.rank in owners[:middle]:
        total = _subtree(leaf, first, owners[:middle], dp)
    if dp.rank in owners[middle:]:
        part = _subtree(leaf, first + middle, owners[middle:], dp)
    label = f"gradient tree {first}+{len(owners)}"
    if left != right and dp.rank == right:
        assert part is not None, "this rank owns a sample of the right half"
        dp.send(part, left, label=label)
    if dp.rank == left:
        assert total is not None, "this rank owns a sample of the left half"
        total += dp.recv(np.empty_like(total), right, label=label) if left != right else part
    return part if total is None else total
