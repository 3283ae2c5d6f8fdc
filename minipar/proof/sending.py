"""Broadcasts named arrays: first the names and shapes, then all values in one message."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minipar.comm.collectives import broadcast
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator


def sent_to_all(world: Communicator, arrays: Mapping[str, np.ndarray], root: int,
                label: str) -> dict[str, np.ndarray]:
    """Returns the arrays of rank `root` on every rank, in the same order. All ranks of `world` call this
    function. The `arrays` of other ranks are ignored.
    """
    mine = arrays if world.rank == root else {}
    entries = [[name, str(array.dtype), array.shape] for name, array in mine.items()]
    entries = gathered(world, entries, f"{label}, names")[root]
    sizes = [np.dtype(dtype).itemsize * math.prod(shape) for _, dtype, shape in entries]
    data = np.empty(sum(sizes), np.uint8)
    if world.rank == root:
        data[...] = np.frombuffer(b"".join(array.tobytes() for array in mine.values()), np.uint8)
    data = broadcast(world, data, root=root, label=label)
    parts = np.split(data, np.cumsum(sizes, dtype=int))             # np.split adds an empty last part
    return {name: part.view(dtype).reshape(shape)
            for part, (name, dtype, shape) in zip(parts[:-1], entries, strict=True)}
