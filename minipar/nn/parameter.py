"""A Parameter is a leaf of the tape with a name, a whole shape, and the shard that this rank holds.

Counting, clipping, checkpoints and resharding use the name, the whole shape and the shard. Every rank draws
the whole initial array and keeps only its shard. So the initial values depend only on the name, the whole
shape and the seed, and every layout starts from the same model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minipar.autograd import Tensor
from minipar.rng import stream


@dataclass(frozen=True)
class Shard:
    """The part of a whole array that a rank holds. It is a concatenation of slices along one axis.

    >>> qkv = Shard(0, (slice(0, 1), slice(2, 3), slice(4, 5)))             # one of two heads of q, k and v
    >>> qkv.take(np.arange(6))
    array([0, 2, 4])
    """

    axis: int
    slices: tuple[slice, ...]

    def take(self, whole: np.ndarray) -> np.ndarray:
        before = (slice(None),) * self.axis
        return np.concatenate([whole[before + (part,)] for part in self.slices], self.axis)

    def put(self, whole: np.ndarray, part: np.ndarray) -> None:
        """Write the part into the whole array. This is the inverse of `take`."""
        before = (slice(None),) * self.axis
        at = 0
        for piece in self.slices:
            length = piece.stop - piece.start
            whole[before + (piece,)] = part[before + (slice(at, at + length),)]
            at += length

    def shape(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        length = sum(part.stop - part.start for part in self.slices)
        return whole[: self.axis] + (length,) + whole[self.axis + 1 :]


@dataclass(frozen=True)
class Start:
    """The distribution of the initial values: normal, with mean `mean` and standard deviation `std`."""

    mean: float = 0.0
    std: float = 0.0

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, self.mean) if not self.std else rng.normal(self.mean, self.std, shape)


ZEROS, ONES = Start(), Start(mean=1.0)


class Parameter(Tensor):
    """A leaf of the tape that is trained.

    name    a stable and absolute name, for example "blocks.3.mlp.up.weight"
    whole   the shape of the whole parameter over all ranks
    shard   the part that this rank holds, or None for the whole parameter
    start   the distribution of the initial values; before `initialise` all values are zero

    `data` is float32 until `initialise` gives another dtype.
    """

    __slots__ = ("name", "whole", "shard", "start")

    def __init__(self, name: str, whole: tuple[int, ...], start: Start, shard: Shard | None = None):
        super().__init__(np.zeros(shard.shape(whole) if shard else whole, np.float32), requires_grad=True)
        self.name, self.whole, self.shard, self.start = name, whole, shard, start

    @property
    def size(self) -> int:
        """The number of elements of the whole parameter."""
        return math.prod(self.whole)

    @property
    def is_sharded(self) -> bool:
        """True if this rank holds only a part of the parameter."""
        return self.shape != self.whole

    def own(self, whole: np.ndarray) -> np.ndarray:
        """Returns this rank's part of a whole array with this parameter's whole shape."""
        return self.shard.take(whole) if self.shard else whole

    def initialise(self, seed: int, dtype: np.dtype) -> None:
        self.data = self.own(self.start.draw(stream(seed, "init", self.name), self.whole)).astype(dtype)

    def __repr__(self) -> str:
        return f"Parameter({self.name}, {self.shape} of {self.whole}, {self.dtype})"
