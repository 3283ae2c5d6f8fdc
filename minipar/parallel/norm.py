"""The norm of a gradient that is spread over ranks.

Every parameter counts once: one that is cut over tp is a sum over its parts, one that every rank of tp holds
whole is taken from the first of them. Adding up the squares of all ranks would count the replicas tp times,
and clip too early. The stages of a pipeline have parameters of their own, but for a tied table, of which both
ends have a copy.

All ranks must come to the same bits, or clipping would make their replicas drift apart. So each number is
computed on one rank of tp and pp, and sums take an algorithm that does not ask where the ranks of a group
are.
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
    """The norm of the whole gradient, the same number on all ranks. The flat gradient must be complete
    (summed over dp).

    copies: names of parameters that another rank of pp counts.
    """
    gradient = flat.gradient()
    if tp.size == pp.size == 1:
        return norm_of(gradient)
    own = [gradient[span] for p, span in zip(flat.parameters, flat.slices, strict=True)
           if p.name not in copies and (p.is_sharded or tp.rank == 0)]
    squares = over_all(sum(map(squared_norm, own)), "sum", tp, pp)
    if fits(squares):
        return math.sqrt(squares)
    # all ranks come here, since their sum is the same: squares left the range of float64
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
