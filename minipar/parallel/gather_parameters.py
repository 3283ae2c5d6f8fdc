"""Whole parameters from their shards, for checkpoints. So a checkpoint does not depend on the layout.
"""

from __future__ import annotations

import numpy as np

from minipar.comm.collectives import reduce
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter


def gather_whole(p: Parameter, part: np.ndarray, tp: Communicator) -> np.ndarray | None:
    """The whole array [*p.whole] on rank 0 of tp, None on the others. All ranks of tp call it.

    part: this rank's shard: of the parameter's values, of its gradient, or of an optimiser's state for it.
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
    """The arrays of all ranks, by name, on rank 0 of pp; {} on the others. All ranks of pp call it.

    No two ranks may have arrays of the same name.
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
