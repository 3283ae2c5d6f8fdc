"""The norm of a gradient that is spread over ranks.

Every parameter counts once: one that is cut over tp is a sum over its parts, one that every rank of tp holds
whole is taken from one of them. Adding up the squares of all ranks would count the replicas tp times, and
clip too early. The stages of a pipeline have parameters of their own, but for a tied table, of which both
ends have a copy.
"""

from __future__ import annotations

import math
from collections.abc import Container

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.optim import Flat, norm_of, squared_norm


def global_norm(flat: Flat, tp: Communicator, pp: Communicator, copies: Container[str] = ()) -> float:
    """The norm of the whole gradient, the same number on all ranks. The flat gradient must be complete
    (summed over dp).

    copies: names of parameters that another rank of pp counts.
    """
    gradient = flat.gradient()
    if tp.size == pp.size == 1:
        return norm_of(gradient)
    squares = {True: 0.0, False: 0.0}  # of parameters that are cut, and of those that are whole
    for p, place in zip(flat.parameters, flat.places, strict=True):
        if p.name not in copies:
            squares[p.is_cut] += squared_norm(gradient[place])
    cut = all_reduce(tp, np.array([squares[True]]), label="gradient norm").item()
    return math.sqrt(all_reduce(pp, np.array([cut + squares[False]]), label="gradient norm").item())
