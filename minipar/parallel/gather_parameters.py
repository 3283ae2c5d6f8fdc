"""Gathers whole parameters from their shards, so that a checkpoint does not depend on the layout."""

# tp, pp: the axes of tensor and pipeline parallelism

from __future__ import annotations

import numpy as np

from minipar.comm.collectives import reduce
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.nn import Parameter


def gather_whole(p: Parameter, part: np.ndarray, tp: Communicator) -> np.ndarray | None:
    """Returns the whole array [*p.whole] on rank 0 of tp, and None on other ranks. All ranks of tp call this
    function.

    part: this rank's shard of the parameter's values, of its gradient, or of its optimiser state.
    """
    if not p.is_sharded:
        return part.copy() if tp.rank == 0 else None
    assert p.shard is not None
    whole = np.zeros(p.whole, part.dtype)
    p.shard.put(whole, part)
    # The other ranks add zeros. As floats, -0.0 + 0.0 is 0.0; a sum of integers keeps all bits.
    bits = whole.view(f"i{part.itemsize}")
    reduce(tp, bits, label=f"whole {p.name}", out=bits if tp.rank == 0 else None)
    return whole if tp.rank == 0 else None


def gather_stages(arrays: dict[str, np.ndarray], pp: Communicator) -> dict[str, np.ndarray]:
    """Gathers a dict of the arrays of all ranks of pp: name -> array. Rank 0 gets all arrays, and other ranks
    get {}. All ranks of pp call this function.

    Two ranks must not have arrays with the same name.
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
