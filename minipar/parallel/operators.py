"""Communication with a gradient: the conjugate operators.

How a value sits on a group of ranks has four names:

    I  invariant    the same on every rank, and so is its gradient
    R  replicated   the same on every rank; its gradient is a sum still to be done
    V  varying      each rank has its own
    P  partial      a sum still to be done

The gradient of R is P and that of P is R; I and V are their own. So each operator that turns one into another
fixes its backward, and the first line of its docstring is its type. Megatron-LM's f and g (Shoeybi et al.
2019; with sequences Korthikanti et al. 2022) are the first two. There are two all-gathers, with different
gradients; no operator here is called just all_gather.
"""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.comm.collectives import all_gather, all_reduce, all_to_all, even_counts, reduce_scatter
from minipar.comm.protocol import Communicator


def copy_to_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """I -> R: nothing forward, all-reduce backward (Megatron's f). x: any shape, the same on all ranks of
    comm.
    """
    return record(x.data, (x,), lambda g: (all_reduce(comm, g, label=f"{label} backward"),))


def reduce_from_region(x: Tensor, comm: Communicator, label: str) -> Tensor:
    """P -> I: all-reduce forward, nothing backward (Megatron's g). x: partial sums, of one shape on all ranks
    of comm.
    """
    return record(all_reduce(comm, x.data, label=f"{label} forward"), (x,), lambda g: (g,))


def gather_from_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                         axis: int = 1) -> Tensor:
    """V -> R: all-gather forward, reduce-scatter backward. Enters a sequence-parallel region.

    x: this rank's counts[rank] places along the axis, which all come together.
    """
    whole = _gather(x.data, comm, f"{label} forward", counts, axis)
    return record(whole, (x,), lambda g: (_reduce_scatter(g, comm, f"{label} backward", counts, axis),))


def reduce_scatter_to_sequence(x: Tensor, comm: Communicator, label: str, counts: list[int],
                               axis: int = 1) -> Tensor:
    """P -> V: reduce-scatter forward, all-gather backward. Leaves a sequence-parallel region.

    x: partial sums of all places along the axis, of which this rank keeps counts[rank].
    """
    share = _reduce_scatter(x.data, comm, f"{label} forward", counts, axis)
    return record(share, (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def gather_from_region(x: Tensor, comm: Communicator, label: str, counts: list[int],
                       axis: int = -1) -> Tensor:
    """V -> I: all-gather forward, own slice backward. x: this rank's counts[rank] places along the axis."""
    mine = _own(comm, counts, axis % x.ndim)
    return record(_gather(x.data, comm, f"{label} forward", counts, axis), (x,), lambda g: (g[mine],))


def scatter_to_region(x: Tensor, comm: Communicator, label: str, counts: list[int], axis: int = -1) -> Tensor:
    """I -> V: own slice forward, all-gather backward. x: the same on all ranks; rank r keeps counts[r]
    places.
    """
    mine = _own(comm, counts, axis % x.ndim)
    return record(x.data[mine], (x,), lambda g: (_gather(g, comm, f"{label} backward", counts, axis),))


def exchange_axes(x: Tensor, comm: Communicator, label: str, split: int, join: int) -> Tensor:
    """V -> V: all-to-all forward, all-to-all with the axes exchanged backward.

    Each rank cuts x into one block per rank along the axis `split` and joins what it gets along the axis
    `join`: from a share of the tokens with all heads to all tokens with a share of the heads, and back. Both
    axes must divide by the number of ranks.
    """
    return record(_exchange(x.data, comm, f"{label} forward", split, join), (x,),
                  lambda g: (_exchange(g, comm, f"{label} backward", join, split),))


# The collectives work along the first axis of a contiguous array; these bring another axis there and back.

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
    """How many of n things each rank holds: as even as can be, the first ranks one more."""
    return even_counts(n, comm.size)
