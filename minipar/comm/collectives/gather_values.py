"""Exchanges small values between all ranks. With the same values, every rank makes the same decision."""

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
    return [json.loads(text) for text in _texts(world, json.dumps(value), label)]


def gathered_on_root(world: Communicator, value: Any, label: str) -> list[Any] | None:
    """Returns the values of all ranks on rank 0, and None on the others. All ranks call this function.

    value: JSON data. Use this function for long values of many ranks: `gathered` would store all values on
    every rank.
    """
    mine = np.frombuffer(json.dumps(value).encode(), np.uint8)
    if world.rank != 0:
        world.send(np.array([mine.size]), 0, label=label)
        world.send(mine, 0, label=label)
        return None
    values = [json.loads(mine.tobytes())]
    for source in range(1, world.size):
        length = world.recv(np.empty(1, np.int64), source, label=label)[0]
        values.append(json.loads(world.recv(np.empty(length, np.uint8), source, label=label).tobytes()))
    return values


def _texts(world: Communicator, text: str, label: str) -> list[bytes]:
    """Returns the texts of all ranks, in the order of ranks."""
    mine = np.frombuffer(text.encode(), np.uint8)
    sizes = all_gather(world, np.array([len(mine)]), label=f"{label}, sizes")
    together = all_gather(world, mine, counts=sizes.tolist(), label=label).tobytes()
    ends = np.cumsum(sizes).tolist()
    return [together[end - size:end] for end, size in zip(ends, sizes.tolist(), strict=True)]


def one_choice(world: Communicator, value: Any, label: str) -> Any:
    """Returns rank 0's value on every rank, so that all ranks make the same decision. All ranks call this
    function.
    """
    return json.loads(_texts(world, json.dumps(value), label)[0])


def same_everywhere(world: Communicator, value: Any, label: str) -> bool:
    """Returns whether all ranks pass the same value. All ranks call this function and get the same answer."""
    texts = _texts(world, json.dumps(value, sort_keys=True), label)
    return texts.count(texts[0]) == len(texts)
