"""Grids of ranks. Ranks are numbered row by row, so the last coordinate changes fastest. Example: in a grid
of 2 x 3 ranks, rank 4 is at (1, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minipar.comm.protocol import is_whole
from minipar.mpi4py_face.constants import CART, PROC_NULL
from minipar.mpi4py_face.exceptions import wrong


@dataclass(frozen=True)
class CartesianGrid:
    """A grid of ranks. dims: the number of ranks along each direction. periods: for each direction, whether
    its last rank is a neighbour of its first rank.
    """

    dims: tuple[int, ...]
    periods: tuple[bool, ...]

    kind = CART

    @classmethod
    def of(cls, dims: Sequence[int] | int, periods: Sequence[bool] | bool | None) -> CartesianGrid:
        given: Any = (dims,) if is_whole(dims) else dims
        sizes = tuple(int(size) for size in given)
        if any(size <= 0 for size in sizes):
            raise wrong("ERR_DIMS", f"dims {list(sizes)}; every direction needs at least 1 rank, and "
                        "MPI.Compute_dims(size, ndims) fills in zeros")
        around = ([bool(periods)] * len(sizes) if periods is None or isinstance(periods, (bool, int))
                  else [bool(period) for period in periods])
        if len(around) != len(sizes):
            raise ValueError(f"expecting {len(sizes)} periods, one for each direction, got {len(around)}")
        return cls(sizes, tuple(around))

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    def coords(self, rank: int) -> list[int]:
        found = []
        for size in reversed(self.dims):
            rank, here = divmod(rank, size)
            found.append(here)
        return found[::-1]

    def rank(self, coords: Sequence[int] | int) -> int:
        """Returns the rank at these coordinates. Raises MPIError for coordinates outside the grid in a
        direction that is not periodic.
        """
        given: Any = [coords] if is_whole(coords) else coords
        coordinates = [int(coordinate) for coordinate in given]
        if len(coordinates) != len(self.dims):
            raise ValueError(f"expecting {len(self.dims)} coordinates, got {len(coordinates)}")
        rank = 0
        for coordinate, size, period in zip(coordinates, self.dims, self.periods, strict=True):
            if not period and not 0 <= coordinate < size:
                raise wrong("ERR_ARG", f"coordinates {coordinates} are outside the grid {list(self.dims)}, "
                                       "which is not periodic there")
            rank = rank * size + coordinate % size
        return rank

    def shift(self, rank: int, direction: int, disp: int) -> tuple[int, int]:
        if not 0 <= direction < len(self.dims):
            raise wrong("ERR_DIMS", f"direction {direction}, but the grid has {len(self.dims)}, counted from "
                                    "0")
        return self.beside(rank, direction, -disp), self.beside(rank, direction, disp)

    def beside(self, rank: int, direction: int, disp: int) -> int:
        coordinates = self.coords(rank)
        coordinates[direction] += disp
        if not self.periods[direction] and not 0 <= coordinates[direction] < self.dims[direction]:
            return PROC_NULL
        return self.rank(coordinates)

    def neighbours(self, rank: int) -> list[int]:
        """Returns the previous and the next rank in each direction. Example for two directions: [previous in
        0, next in 0, previous in 1, next in 1].
        """
        return [self.beside(rank, direction, disp) for direction in range(len(self.dims)) for disp in (-1, 1)]

    def sources(self, rank: int) -> list[int]:
        return self.neighbours(rank)

    destinations = sources

    def sub(self, rank: int, remain: Sequence[bool] | bool) -> tuple[int, int, CartesianGrid]:
        """Splits the grid into parts. Returns (number of the part that contains `rank`, number of `rank` in
        this part, grid of the part). remain: for each direction, whether the parts keep it.

        Example: if a grid of 2 x 3 ranks keeps only the last direction, each part is a row. Rank 4 is at
        (1, 1), so it is number 1 in row 1.
        """
        kept = ([bool(remain)] * len(self.dims) if isinstance(remain, (bool, int))
                else [bool(each) for each in remain])
        if len(kept) != len(self.dims):
            raise ValueError(f"expecting {len(self.dims)} values, one for each direction, got {len(kept)}")
        coordinates = self.coords(rank)
        color = key = 0
        for coordinate, size, keep in zip(coordinates, self.dims, kept, strict=True):
            if keep:
                key = key * size + coordinate
            else:
                color = color * size + coordinate
        rest = [(size, period) for size, period, keep in zip(self.dims, self.periods, kept, strict=True)
                if keep]
        return color, key, CartesianGrid(tuple(size for size, _ in rest), tuple(period for _, period in rest))


def even_dims(ranks: int, dims: list[int]) -> list[int]:
    """Returns `dims` with new numbers for its zeros, so that the product is `ranks`. The new numbers are as
    equal as possible. The largest one comes first.
    """
    if ranks < 1:
        raise wrong("ERR_ARG", f"cannot lay out {ranks} ranks")
    if any(size < 0 for size in dims):
        raise wrong("ERR_DIMS", f"dims {dims} hold a negative number")
    given = math.prod(size for size in dims if size)
    if ranks % given or 0 not in dims and given != ranks:
        raise wrong("ERR_DIMS", f"dims {dims} do not divide {ranks} ranks")
    free = iter(sorted(factors(ranks // given, dims.count(0)), reverse=True))
    return [size or next(free) for size in dims]


def factors(number: int, parts: int) -> list[int]:
    """Returns `parts` numbers whose product is `number`, the largest first. They are as equal as possible:
    factors(12, 2) is [4, 3].
    """
    if parts == 0:
        return []
    if parts == 1:
        return [number]
    best: list[int] | None = None
    for first in range(1, number + 1):
        if number % first == 0 and first**parts >= number:
            rest = factors(number // first, parts - 1)
            found = sorted([first, *rest], reverse=True)
            if best is None or found < best:
                best = found
    assert best is not None
    return best
