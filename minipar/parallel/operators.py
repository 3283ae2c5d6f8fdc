"""Defines differentiable communication with conjugate operators: the backward of one is the forward of
another.

A value on a group of ranks has one of four types:

    I  invariant    equal on every rank; its gradient is also equal on every rank
    R  replicated   equal on every rank, but its gradient on each rank is one term of a sum
    V  varying      each rank has its own value
    P  partial      each rank has one term of a sum

The gradient of an R value has type P, and the gradient of a P value has type R. The gradients of I and V
values have the same type as the value. So the types of an operator's input and output determine its backward.
Each docstring begins with these two types, for example I -> R.

Example: 2 ranks call copy_to_region with x = 3. In forward, both ranks use 3. In backward, rank 0 has the
gradient 10 and rank 1 has the gradient 1. The gradient of x is their sum, 11, on both ranks.

The first two operators are f and g of Megatron-LM (Shoeybi et al. 2019). The next two replace them in
sequence parallelism (Korthikanti et al. 2022). Two operators run an all-gather in forward, but their
gradients differ. So no operator has the name all_gather.

Each operator first calls `captured`, which lets `minipar.graph` record the call. The decorator `capturable`
would have the same effect, but would add a function call to every message.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.autograd.capture_hook import captured
from minipar.comm.collectives import all_gather, all_reduce, all_to_all, even_counts, reduce_scatter
from minipar.comm.protocol import Communicator


def copy_to_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: a no-op in forward, an all-reduce in backward (Megatron's f). x: any shape, equal on all ranks
    of comm.
    """
    if (observed := captured(copy_to_region, x, comm, label)) is not None:
        return observed
    return record(x.data, (x,), lambda g: (all_reduce(comm, g, label=f"{label} backward"),))


def reduce_from_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: an all-reduce in forward, a no-op in backward (Megatron's g). x: partial sums, with the same
    shape on all ranks.
    """
    if (observed := captured(reduce_from_region, x, comm, label)) is not None:
        return observed
    return record(all_reduce(comm, x.data, label=f"{label} forward"), (x,), lambda g: (g,))


def gather_from_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                         axis: int = 1) -> Tensor:
    """V -> R: an all-gather in forward, a reduce-scatter in backward. This operator begins a pair of
    tensor-parallel layers.

    x: this rank's counts[rank] indices along the axis. The result has all sum(counts) indices.
    """
    if (observed := captured(gather_from_sequence, x, comm, label, counts, axis)) is not None:
        return observed
    whole = _gather(x.data, comm, f"{label} forward", counts, axis)
    return record(whole, (x,), lambda g: (_reduce_scatter(g, comm, f"{label} backward", counts, axis),))


def reduce_scatter_to_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                               axis: int = 1) -> Tensor:
    """P -> V: a reduce-scatter in forward, an all-gather in backward. This operator ends a pair of
    tensor-parallel layers.

    x: partial sums for all indices along the axis. The result has this rank's counts[rank] indices.
    """
    if (observed := captured(reduce_scatter_to_sequence, x, comm, label, counts, axis)) is not None:
        return observed
    share = _reduce_scatter(x.data, comm, f"{label} forward", counts, axis)
    return record(share, (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def gather_from_region(x: Tensor, comm: Communicator, label: str, counts: list[int],
                       axis: int = -1) -> Tensor:
    """V -> I: an all-gather in forward, the rank's own slice in backward. x: this rank's counts[rank] indices
    along the axis.
    """
    if (observed := captured(gather_from_region, x, comm, label, counts, axis)) is not None:
        return observed
    mine = _own(comm, counts, axis % x.ndim)
    return record(_gather(x.data, comm, f"{label} forward", counts, axis), (x,), lambda g: (g[mine],))


def scatter_to_region(x: Tensor, comm: Communicator, label: str, counts: list[int], axis: int = -1) -> Tensor:
    """I -> V: the rank's own slice in forward, an all-gather in backward. x: equal on all ranks. Rank r keeps
    counts[r] indices.
    """
    if (observed := captured(scatter_to_region, x, comm, label, counts, axis)) is not None:
        return observed
    mine = _own(comm, counts, axis % x.ndim)
    return record(x.data[mine], (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def exchange_axes(x: Tensor, comm: Communicator, label: str, split: int, join: int) -> Tensor:
    """V -> V: an all-to-all in forward, an all-to-all with exchanged axes in backward.

    Each rank splits x into one block per rank along the axis `split`, and concatenates the received blocks
    along the axis `join`. For example, it converts a shard of the tokens with all heads to all tokens with a
    shard of the heads. The lengths of both axes must be multiples of the number of ranks.
    """
    if (observed := captured(exchange_axes, x, comm, label, split, join)) is not None:
        return observed
    return record(_exchange(x.data, comm, f"{label} forward", split, join), (x,),
                  lambda g: (_exchange(g, comm, f"{label} backward", join, split),))


# The collectives work along the first axis of a contiguous array. The next functions move another axis to the
# front, call a collective, and move the axis back.

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
    """Returns the number of elements of each rank if n elements are divided as evenly as possible. If the
    division has a remainder, the first ranks have one more element.
    """
    return even_counts(n, comm.size)
