"""Whole parameters from their parts, for checkpoints: the file of a run is the same whatever the layout that
wrote it.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.collectives import reduce
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter


def gather_whole(p: Parameter, part: np.ndarray, tp: Communicator) -> np.ndarray | None:
    """The whole array [*p.whole] of which every rank of tp has the part that its parameter p has; on rank 0,
    None elsewhere.

    part: the parameter's values, gradient, or optimiser state. All ranks of tp call it.
    """
    if not p.is_sharded:
        return part.copy() if tp.rank == 0 else None
    assert p.shard is not None
    whole = np.zeros(p.whole, part.dtype)
    p.shard.put(whole, part)
    bits = whole.view(f"i{part.itemsize}")  # added as integers: x + 0 is x in every bit, even for -0.0
    reduce(tp, bits, label=f"whole {p.name}", out=bits if tp.rank == 0 else None)
    return whole if tp.rank == 0 else None


def gather_stages(arrays: dict[str, np.ndarray], pp: Communicator) -> dict[str, np.ndarray]:
    """All ranks' arrays on rank 0 of pp, nothing elsewhere. Names are the ranks' own.

    All ranks of pp call it.
    """
    label = "arrays of stages"
    about = {name: (array.shape, array.dtype.str) for name, array in arrays.items()}
    tables = gathered(pp, about, label)
    if pp.rank > 0:
        for array in arrays.values():
            pp.send(np.ascontiguousarray(array), 0, label=label)
        return {}
    return arrays | {name: pp.recv(np.empty(shape, dtype), source, label=label)
                     for source, table in enumerate(tables) if source > 0
                     for name, (shape, dtype) in table.items()}
