"""A pool of memory planned ahead: arrays that are never alive together may lie in the same place.

A program that is known beforehand, such as one training step, need not ask for memory at every op. From when
each array is written and when it is read for the last time follows how much memory must be there, and where
in one block each array can lie. Frameworks for small devices plan so (Pisarchyk and Lee 2020, "Efficient
memory management for deep neural net inference", whose greedy placement by size this is). The least that any
placement needs is the most that is alive at a time; greedy placement may need more, since holes can remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minipar.errors import LayoutError
from minipar.plan.arguments import require_amount


@dataclass(frozen=True)
class Lifetime:
    """An array of `size` bytes (or any unit), written in step `born`, read for the last time in step `dies`
    >= born.
    """

    size: int
    born: int
    dies: int

    def __post_init__(self) -> None:
        for name in ("size", "born", "dies"):
            require_amount(name, getattr(self, name))
        if self.dies < self.born:
            raise LayoutError(f"an array that is born in step {self.born} cannot die in step {self.dies}")

    def meets(self, other: Lifetime) -> bool:
        """Whether there is a step in which both are alive."""
        return self.born <= other.dies and other.born <= self.dies


def chain(sizes: Sequence[int]) -> list[Lifetime]:
    """The arrays of a chain of ops, each of which reads the last array and writes the next: two are alive at
    a time.
    """
    return [Lifetime(size, step, min(step + 1, len(sizes) - 1)) for step, size in enumerate(sizes)]


def most_alive(arrays: Sequence[Lifetime]) -> int:
    """The largest sum of sizes in any one step: no placement can do with less."""
    return max((sum(a.size for a in arrays if a.born <= step <= a.dies) for step in {a.born for a in arrays}),
               default=0)


def offsets(arrays: Sequence[Lifetime]) -> list[int]:
    """Where each array begins in the block: the largest first, each at the lowest place that is free while it
    lives.
    """
    starts: dict[int, int] = {}
    for number in sorted(range(len(arrays)), key=lambda n: -arrays[n].size):
        mine = arrays[number]
        taken = sorted((start, start + arrays[n].size) for n, start in starts.items()
                       if arrays[n].meets(mine))
        free = 0
        for start, end in taken:
            if free + mine.size <= start:
                break
            free = max(free, end)
        starts[number] = free
    return [starts[number] for number in range(len(arrays))]


def extent(arrays: Sequence[Lifetime], starts: Sequence[int]) -> int:
    """How large the block has to be for this placement."""
    return max((start + array.size for array, start in zip(arrays, starts, strict=True)), default=0)
