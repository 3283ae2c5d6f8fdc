"""Defines how an array is distributed over several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipar.comm.collectives import even_counts
from minipar.errors import ShapeError


@dataclass(frozen=True)
class Replicated:
    """Every rank has the whole array, with the same bits.

    >>> import numpy as np, minipar as mp
    >>> mp.Replicated().part(np.array([8.0, 9.0]), rank=1, ranks=2)
    array([8., 9.])
    """

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        return whole


@dataclass(frozen=True)
class Sharded:
    """Each rank has consecutive indices along `axis`.

    counts: the number of indices of each rank. By default the numbers are as equal as possible. blocks: the
    number of equal blocks along the axis. Each block is sharded separately, and `counts` refers to one block.
    For example, a matrix of queries, keys and values has 3 blocks.

    >>> import numpy as np, minipar as mp
    >>> mp.Shard(0).part(np.arange(7), rank=1, ranks=3)
    array([3, 4])
    >>> mp.Shard(0, blocks=2).part(np.arange(8), rank=1, ranks=2)
    array([2, 3, 6, 7])
    """

    axis: int = 0
    counts: Sequence[int] | None = None
    blocks: int = 1

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        """Returns the shard of a rank. Raises ShapeError if the array has no such axis, or if the counts do
        not add up to its length.
        """
        if not -whole.ndim <= self.axis < whole.ndim:
            raise ShapeError(
                f"shape {whole.shape} has no axis {self.axis} to shard; choose another axis or Replicated()"
            )
        length = whole.shape[self.axis]
        if length % self.blocks:
            raise ShapeError(
                f"{length} indices do not divide into {self.blocks} equal blocks; choose another number"
            )
        counts = even_counts(length // self.blocks, ranks) if self.counts is None else list(self.counts)
        if len(counts) != ranks or min(counts) < 0 or sum(counts) * self.blocks != length:
            raise ShapeError(
                f"counts {counts} must be {ranks} numbers, one per rank, whose sum is {length // self.blocks}"
            )
        begin = sum(counts[:rank])
        parts = [
            block.take(range(begin, begin + counts[rank]), self.axis)
            for block in np.split(whole, self.blocks, self.axis)
        ]
        return np.concatenate(parts, self.axis)


@dataclass(frozen=True)
class Partial:
    """Each rank has one addend, and the array is the sum of the addends over the ranks.

    An input of floats is divided: rank 0 gets a half, rank 1 a quarter, and so on. The last two ranks get
    equal addends. All addends are the input times a power of two, so their sum is exact. An input of integers
    is whole on rank 0, and zero on the other ranks.

    >>> import numpy as np, minipar as mp
    >>> [mp.Partial().part(np.array([8.0]), rank, 3).item() for rank in range(3)]
    [4.0, 2.0, 2.0]
    """

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        if whole.dtype.kind != "f":
            return whole if rank == 0 else np.zeros_like(whole)
        half: np.ndarray = whole * whole.dtype.type(0.5 ** min(rank + 1, ranks - 1))
        return half


@dataclass(frozen=True)
class OnRank:
    """One rank has the array. For an input, the other ranks receive None. For an output, the values of the
    other ranks are ignored.

    >>> import numpy as np, minipar as mp
    >>> [mp.OnRank(1).part(np.array([8.0]), rank, 3) for rank in range(3)]
    [None, array([8.]), None]
    """

    rank: int

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray | None:
        return whole if rank == self.rank else None


Sharding = Replicated | Sharded | Partial | OnRank


def input_part(value: Any, sharding: Sharding, rank: int, ranks: int) -> Any:
    """Returns a copy of this rank's part of an input. The part of a PyTorch tensor is a PyTorch tensor. A
    value that is not an array is returned unchanged.
    """
    if hasattr(value, "detach"):
        part = sharding.part(value.detach().numpy(), rank, ranks)
        return None if part is None else value.new_tensor(part.copy()).requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        part = sharding.part(value, rank, ranks)
        return None if part is None else part.copy()
    return value
