"""Exchanges small values of all ranks, so that every rank makes the same decision."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from minipar.comm.collectives import all_gather
from minipar.comm.protocol import Communicator


def gathered(world: Communicator, value: Any, label: str) -> list[Any]:
    """Returns the values of all ranks, in the order of ranks. All ranks call this function.

    value: JSON data, which may contain infinity and NaN.
    """
    mine = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = all_gather(world, np.array([len(mine)]), label=f"{label}, sizes")
    together = all_gather(world, mine, counts=sizes.tolist(), label=label)
    return [json.loads(part.tobytes()) for part in np.split(together, np.cumsum(sizes)[:-1])]


def one_choice(world: Communicator, value: Any, label: str) -> Any:
    """Returns rank 0's value on every rank. All ranks call this function, so that they make the same
    decision.
    """
    return gathered(world, value, label)[0]


def same_everywhere(world: Communicator, value: Any, label: str) -> bool:
    """Returns whether all ranks pass the same value. All ranks call this function and get the same answer."""
    values = gathered(world, value, label)
    return all(other == values[0] for other in values)
