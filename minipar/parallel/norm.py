"""The norm of a gradient that is distributed over ranks.

Every parameter must count once. For a parameter that is sharded over tp, the squares of all shards are added.
A replicated parameter counts on rank 0 of tp only. Otherwise its squares would count tp times, the norm would
be too large, and clipping would scale the gradient too much. Each pipeline stage has its own parameters; only
a tied table has a replica at both ends.

Example: tp=2, a sharded gradient [3 | 4] and a replicated gradient [12]. The norm is sqrt(9 + 16 + 144) = 13.
The wrong sum counts 144 twice and gives 17.7.

All ranks must compute the same bits. Otherwise clipping would make their replicas different. So each square
is computed on one rank of tp and pp, and the sums use an algorithm that does not depend on the nodes of the
ranks.
"""

from __future__ import annotations

import math
from collections.abc import Container

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.optim import Flat, norm_of, squared_norm
from minipar.optim.clipping import fits


def global_norm(flat: Flat, tp: Communicator, pp: Communicator, copies: Container[str] = ()) -> float:
    """The norm of the whole gradient, equal on all ranks. The flat gradient must already be summed over dp.

    copies: names of parameters that count on another rank of pp.
    """
    gradient = flat.gradient()
    if tp.size == pp.size == 1:
        return norm_of(gradient)
    own = [gradient[span] for p, span in zip(flat.parameters, flat.slices, strict=True)
           if p.name not in copies and (p.is_sharded or tp.rank == 0)]
    squares = over_all(sum(map(squared_norm, own)), "sum", tp, pp)
    if fits(squares):
        return math.sqrt(squares)
    # the squares are out of the range of float64; the sum is equal on all ranks, so all of them get here
    largest = over_all(max((float(np.abs(part).max(initial=0)) for part in own), default=0.0), "max", tp, pp)
    if not 0 < largest < math.inf:
        return largest
    scaled = sum(squared_norm(part.astype(np.float64) / largest) for part in own)
    return largest * math.sqrt(over_all(scaled, "sum", tp, pp))


def over_all(number: float, op: str, tp: Communicator, pp: Communicator) -> float:
    """The sum, or the maximum, over the ranks of tp and pp."""
    total = np.array([number], np.float64)
    for axis in (tp, pp):
        total = all_reduce(axis, total, op, label="gradient norm", algorithm="by_size")
    return total.item()
