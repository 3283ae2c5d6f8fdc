"""How an array that one process has whole lies on several ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipar.comm.collectives import even_counts
from minipar.errors import ShapeError


@dataclass(frozen=True)
class Replicated:
    """Every rank has the whole array, in the same bits.

    >>> Replicated().part(np.array([8.0, 9.0]), rank=1, ranks=2)
    array([8., 9.])
    """

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        return whole


@dataclass(frozen=True)
class Sharded:
    """Each rank has a run of indices along `axis`: as even as can be, or `counts` of them by rank.

    blocks: so many equal blocks lie side by side along the axis, and each of them is sharded by itself, as
    queries, keys and values in one matrix. `counts` are then those of a block.

    >>> Sharded(0).part(np.arange(7), rank=1, ranks=3)
    array([3, 4])
    >>> Sharded(0, blocks=2).part(np.arange(8), rank=1, ranks=2)
    array([2, 3, 6, 7])
    """

    axis: int = 0
    counts: Sequence[int] | None = None
    blocks: int = 1

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        """Raises ShapeError where the array has no such axis, or the counts do not add up to it."""
        if not -whole.ndim <= self.axis < whole.ndim:
            raise ShapeError(
                f"shape {whole.shape} has no axis {self.axis} to shard; choose another axis or Replicated()"
            )
        length = whole.shape[self.axis]
        if length % self.blocks:
            raise ShapeError(
                f"{length} indices are no {self.blocks} equal blocks; choose another number of blocks"
            )
        counts = even_counts(length // self.blocks, ranks) if self.counts is None else list(self.counts)
        if len(counts) != ranks or min(counts) < 0 or sum(counts) * self.blocks != length:
            raise ShapeError(
                f"counts {counts} do not share {length // self.blocks} indices out to {ranks} ranks"
            )
        begin = sum(counts[:rank])
        parts = [
            block.take(range(begin, begin + counts[rank]), self.axis)
            for block in np.split(whole, self.blocks, self.axis)
        ]
        return np.concatenate(parts, self.axis)


@dataclass(frozen=True)
class Partial:
    """Each rank has an addend; their sum over the ranks is the array.

    An input is given as its halves: a half on rank 0, a quarter on rank 1, and so on, the last twice. Their
    sum is exact. Integers, which have no halves, lie on rank 0, and the others get zeros.

    >>> [Partial().part(np.array([8.0]), rank, 3).item() for rank in range(3)]
    [4.0, 2.0, 2.0]
    """

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray:
        if whole.dtype.kind != "f":
            return whole if rank == 0 else np.zeros_like(whole)
        half: np.ndarray = whole * whole.dtype.type(0.5 ** min(rank + 1, ranks - 1))
        return half


@dataclass(frozen=True)
class OnRank:
    """One rank has the array; what the others give under its name is not looked at. As an input, they get
    None.

    >>> [OnRank(1).part(np.array([8.0]), rank, 3) for rank in range(3)]
    [None, array([8.]), None]
    """

    rank: int

    def part(self, whole: np.ndarray, rank: int, ranks: int) -> np.ndarray | None:
        return whole if rank == self.rank else None


Sharding = Replicated | Sharded | Partial | OnRank


def input_part(value: Any, sharding: Sharding, rank: int, ranks: int) -> Any:
    """A rank's own copy of its part of an input. PyTorch's tensors stay tensors; what is no array is handed
    on as it is.
    """
    if hasattr(value, "detach"):
        part = sharding.part(value.detach().numpy(), rank, ranks)
        return None if part is None else value.new_tensor(part.copy()).requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        part = sharding.part(value, rank, ranks)
        return None if part is None else part.copy()
    return value
