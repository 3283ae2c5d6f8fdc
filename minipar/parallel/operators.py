"""Communication with a gradient: the conjugate operators.

A value on a group of ranks has one of four types:

    I  invariant    equal on every rank, and so is its gradient
    R  replicated   equal on every rank; its gradient on each rank is one term of a sum
    V  varying      each rank has its own value
    P  partial      each rank has one term of a sum

The gradient of an R value has type P, and that of a P value has type R. The gradients of I and V have the
same type as the value. So the types of an operator's input and output determine its backward. The first line
of each docstring is this type.

Example: 2 ranks, copy_to_region of x = 3. Forward, both ranks use 3. Backward, rank 0 has the gradient 10 and
rank 1 has 1. The gradient of x is their sum, 11, on both ranks.

Megatron-LM's f and g (Shoeybi et al. 2019; with sequences Korthikanti et al. 2022) are the first two
operators. Two operators are all-gathers, with different gradients. So none is called all_gather.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_gather, all_reduce, all_to_all, even_counts, reduce_scatter
from minipar.comm.protocol import Communicator


def copy_to_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: no-op forward, all-reduce backward (Megatron's f). x: any shape, equal on all ranks of comm."""
    return record(x.data, (x,), lambda g: (all_reduce(comm, g, label=f"{label} backward"),))


def reduce_from_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: all-reduce forward, no-op backward (Megatron's g). x: partial sums, of equal shape on all
    ranks.
    """
    return record(all_reduce(comm, x.data, label=f"{label} forward"), (x,), lambda g: (g,))


def gather_from_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                         axis: int = 1) -> Tensor:
    """V -> R: all-gather forward, reduce-scatter backward. Enters a sequence-parallel region.

    x: this rank's counts[rank] indices along the axis. The result has all sum(counts).
    """
    whole = _gather(x.data, comm, f"{label} forward", counts, axis)
    return record(whole, (x,), lambda g: (_reduce_scatter(g, comm, f"{label} backward", counts, axis),))


def reduce_scatter_to_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                               axis: int = 1) -> Tensor:
    """P -> V: reduce-scatter forward, all-gather backward. Leaves a sequence-parallel region.

    x: partial sums of all indices along the axis. The result has this rank's counts[rank].
    """
    share = _reduce_scatter(x.data, comm, f"{label} forward", counts, axis)
    return record(share, (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def gather_from_region(x: Tensor, comm: Communicator, label: str, counts: list[int],
                       axis: int = -1) -> Tensor:
    """V -> I: all-gather forward, own slice backward. x: this rank's counts[rank] indices along the axis."""
    mine = _own(comm, counts, axis % x.ndim)
    return record(_gather(x.data, comm, f"{label} forward", counts, axis), (x,), lambda g: (g[mine],))


def scatter_to_region(x: Tensor, comm: Communicator, label: str, counts: list[int], axis: int = -1) -> Tensor:
    """I -> V: own slice forward, all-gather backward. x: equal on all ranks; rank r keeps counts[r] indices.
    """
    mine = _own(comm, counts, axis % x.ndim)
    return record(x.data[mine], (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def exchange_axes(x: Tensor, comm: Communicator, label: str, split: int, join: int) -> Tensor:
    """V -> V: all-to-all forward, all-to-all with the axes exchanged backward.

    Each rank splits x into one block per rank along the axis `split`, and concatenates the received blocks
    along the axis `join`. It converts a shard of the tokens with all heads to all tokens with a shard of the
    heads, and back. The lengths of both axes must be multiples of the number of ranks.
    """
    return record(_exchange(x.data, comm, f"{label} forward", split, join), (x,),
                  lambda g: (_exchange(g, comm, f"{label} backward", join, split),))


# The collectives work along the first axis of a contiguous array. These functions move another axis there and
# back.

def _gather(x: np.ndarray, comm: Communicator, label: str, counts: list[int], axis: int) -> np.ndarray:
    front = np.ascontiguousarray(np.moveaxis(x, axis, 0))
    return np.ascontiguousarray(np.moveaxis(all_gather(comm, front, counts=counts, label=label), 0, axis))


def _reduce_scatter(x: np.ndarray, comm: Communicator, label: str, counts: list[int],
                    axis: int) -> np.ndarray:
    front = np.ascontiguousarray(np.moveaxis(x, axis, 0))
    return np.ascontiguousarray(np.moveaxis(reduce_scatter(comm, front, counts=counts, label=label), 0, axis))


def _exchange(x: np.ndarray, comm: Communicator, label: str, split: int, join: int) -> np.ndarray:
    blocks = np.stack(np.split(x, comm.size, axis=split))           # [ranks, ...]
    return np.concatenate(list(all_to_all(comm, blocks, label=label)), axis=join)


def _own(comm: Communicator, counts: list[int], axis: int) -> tuple[slice, ...]:
    start = sum(counts[: comm.rank])
    return (slice(None),) * axis + (slice(start, start + counts[comm.rank]),)


def shares(n: int, comm: Communicator) -> list[int]:
    """The number of elements of n on each rank: as even as possible, the first ranks one more."""
    return even_counts(n, comm.size)
