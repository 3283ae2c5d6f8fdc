"""Computes the norm of a gradient that is distributed over ranks.

Every parameter must count once. For a parameter that is sharded over tp, the squares of all shards are added.
A replicated parameter counts only on rank 0 of tp. Otherwise its squares would count tp times, the norm would
be too large, and clipping would scale the gradient too much. Each pipeline stage has its own parameters. Only
a tied table has two replicas, one on the first and one on the last stage. ZeRO also shards each gradient over
dp. In this case, the squares are first added over dp.

Example: tp=2, with a sharded gradient [3 | 4] and a replicated gradient [12]. The norm is sqrt(9 + 16 + 144)
= 13. The wrong sum counts 144 twice and gives 17.7.

All ranks must compute the same bits. Otherwise clipping would make the replicas different. So each square is
computed on only one rank of tp and pp. The sums use an algorithm that does not depend on the nodes of the
ranks.
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

import math
from collections.abc import Container, Sequence

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.optim import ParameterStore, norm_of, squared_norm
from minipar.optim.clipping import fits


def global_norm(store: ParameterStore, tp: Communicator, pp: Communicator, copies: Container[str] = (),
                shards: Communicator | None = None) -> float:
    """Returns the norm of the whole gradient, equal on all ranks. The gradient must already be summed over
    dp.

    copies: the names of parameters whose replica on another rank of pp is counted. shards: the ranks over
    which ZeRO shards the gradient; None without ZeRO.
    """
    axes = [axis for axis in (shards, tp, pp) if axis is not None]
    if all(axis.size == 1 for axis in axes) and len(gradients := store.gradients()) == 1:
        return norm_of(gradients[0])
    own = [gradient for p, gradient in store.own_gradients()
           if p.name not in copies and (p.is_sharded or tp.rank == 0)]
    squares = over_all(sum(map(squared_norm, own)), "sum", axes)
    if fits(squares):
        return math.sqrt(squares)
    # The squares are out of the range of float64. Their sum is equal on all ranks, so all ranks go on here.
    largest = over_all(max((float(np.abs(part).max(initial=0)) for part in own), default=0.0), "max", axes)
    if not 0 < largest < math.inf:
        return largest
    scaled = sum(squared_norm(part.astype(np.float64) / largest) for part in own)
    return largest * math.sqrt(over_all(scaled, "sum", axes))


def over_all(number: float, op: str, axes: Sequence[Communicator]) -> float:
    """Returns the sum or the maximum of a number over the ranks of all axes."""
    total = np.array([number], np.float64)
    for axis in axes:
        total = all_reduce(axis, total, op, label="gradient norm", algorithm="by_size")
    return total.item()
