"""A sum over samples that comes out the same in every bit, however many ranks share it.

Floating-point addition is not associative, so a sum depends on its grouping. Here the grouping is fixed once
for the whole batch: a binary tree over the samples 0 to B - 1 that halves every range of samples. Each rank
computes the gradients of its own samples, one by one, and adds up the subtrees that are all its own; where a
subtree spans ranks, the owner of its right half sends it to the owner of its left half. So dp = 1, 2, 3, ...
and any number of micro-batches take the very same additions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minipar.comm.collectives import broadcast
from minipar.comm.protocol import Communicator


def tree_sum(leaf: Callable[[int], np.ndarray], shares: list[int], dp: Communicator) -> np.ndarray:
    """The sum over all samples of `leaf(sample)` [n], on every rank in the same bits, for every way to share
    out the samples.

    shares: how many samples each rank has, at least one; rank r has those behind the samples of the ranks
    before it. `leaf` is called once for each of this rank's samples, in order, and returns a new array each
    time. All ranks call this together.
    """
    owners = np.repeat(np.arange(dp.size), shares)                  # of each sample
    total = _subtree(leaf, 0, owners, dp)
    assert total is not None, "every rank has a sample"
    return broadcast(dp, total, label="gradient tree result", out=total)


def _subtree(leaf: Callable[[int], np.ndarray], first: int, owners: np.ndarray,
             dp: Communicator) -> np.ndarray | None:
    """The sum of the samples from `first` on that `owners` lists: on the owner of the first; elsewhere a part
    of it.
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
