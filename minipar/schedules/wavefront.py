"""Simulates GPipe and 1F1B at any size, without a list of instructions.

For example, 1,000 stages and 10,000 micro-batches have 20 million instructions. Their simulation takes
seconds.

Every instruction gets a level that is higher than the levels of all instructions that it waits for:

             forward of micro-batch i on stage s        backward
    gpipe    i + s                                      i - s + m + 2p - 2
    1f1b     2i + s                                     2i - s + 2p - 1

A stage has at most one instruction on each level, and executes its instructions in the order of the levels.
So one vector operation over the stages computes all instructions of a level. Their messages are used on the
next level. So two vectors hold all messages: one for activations (up), one for gradients (down).

Example: GPipe with p = 3 stages and m = 2 micro-batches; F and B take 1. The levels of the forwards are:

    level 0: F0@0        level 1: F1@0 F0@1        level 2: F1@1 F0@2        level 3: F1@2

On level 1, free = [1, 0, 0] and up = [0, 1, 0, 0]. Stage 0 starts F1 at max(1, 0) = 1, and stage 1 starts F0
at max(0, 1) = 1. Afterwards free = [2, 2, 0].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from minipar.errors import ScheduleError
from minipar.records import Number
from minipar.schedules.costs import Costs
from minipar.schedules.times import Times


@dataclass(frozen=True)
class Wave(Times):
    """Holds the times of every rank. peaks: the largest number of micro-batches whose activations a rank
    keeps.
    """

    peaks: tuple[int, ...]


def simulate_wave(name: str, ranks: int, micro_batches: int, costs: Costs | None = None) -> Wave:
    """Returns the times per rank that `simulate` computes for "gpipe" or "1f1b". The times are exact for
    whole numbers and Fractions.

    The memory grows with ranks + micro_batches, the computing time with ranks * micro_batches. Raises
    ScheduleError for other schedules, and for costs beyond 64 bits.
    """
    if name not in ("gpipe", "1f1b"):
        raise ScheduleError(f"no wavefront of schedule {name!r} is known; choose gpipe or 1f1b, or simulate "
                            "its instructions")
    if ranks < 1 or micro_batches < 1:
        raise ScheduleError(f"{ranks} ranks and {micro_batches} micro-batches; give at least 1 of each")
    pace, first_backward = (1, micro_batches + 2 * ranks - 2) if name == "gpipe" else (2, 2 * ranks - 1)
    sweep = _Sweep(ranks, micro_batches, costs or Costs(), pace)
    for level in range(first_backward + pace * (micro_batches - 1) + 1):
        sweep.forwards(level)
        sweep.backwards(level - first_backward)
    return sweep.result()


class _Sweep:
    """Holds the state of all ranks after some levels. pace: the number of levels from one micro-batch to the
    next.
    """

    def __init__(self, ranks: int, micro_batches: int, costs: Costs, pace: int) -> None:
        self.stages, self.last_micro, self.pace = np.arange(ranks), micro_batches - 1, pace
        forward, backward, weights = (costs.per_stage(kind, ranks) for kind in "FBW")
        whole = [b + w for b, w in zip(backward, weights, strict=True)]
        times, self.sizes, self.unit = _arrays([*forward, *whole, costs.message],
                                               costs.per_micro(micro_batches), ranks)
        self.forward, self.backward, self.message = times[:ranks], times[ranks:-1], times[-1]
        self.free, self.started, self.busy = (np.zeros(ranks, times.dtype) for _ in range(3))
        self.up = np.zeros(ranks + 1, times.dtype)  # up[s]: arrival time of the activations for stage s
        self.down = np.zeros(ranks + 1, times.dtype)  # down[s + 1]: arrival time of the gradient for stage s
        self.kept, self.peaks = (np.zeros(ranks, np.int64) for _ in range(2))

    def forwards(self, level: int) -> None:
        """Run the forwards of a level: every stage s and micro-batch i with pace i + s = level."""
        front = self._front(level - self.pace * self.last_micro, level)
        size = self.sizes[(level - self.stages[front]) // self.pace]
        start = self._compute(front, self.up[:-1][front], self.forward[front] * size)
        self.up[1:][front] = self.free[front] + self.message * size
        if level < len(self.stages):
            self.started[level] = start[-1]  # the first micro-batch comes before all others
        self.kept[front] += 1
        self.peaks[front] = np.maximum(self.peaks[front], self.kept[front])

    def backwards(self, level: int) -> None:
        """Run the backwards with pace i - s = level, for every stage s and micro-batch i."""
        front = self._front(-level, self.pace * self.last_micro - level)
        size = self.sizes[(level + self.stages[front]) // self.pace]
        self._compute(front, self.down[1:][front], self.backward[front] * size)
        self.down[:-1][front] = self.free[front] + self.message * size
        self.kept[front] -= 1

    def _front(self, low: int, high: int) -> slice:
        """Returns the slice of every `pace`-th stage from low to high, without indices outside the stages.
        """
        start, stop = max(low, low % self.pace), min(high + 1, len(self.stages))
        return slice(start, max(start, stop), self.pace)

    def _compute(self, front: slice, arrived: np.ndarray, time: np.ndarray) -> np.ndarray:
        start: np.ndarray = np.maximum(self.free[front], arrived)
        self.free[front] = start + time
        self.busy[front] += time
        return start

    def result(self) -> Wave:
        def numbers(values: np.ndarray) -> tuple[Number, ...]:
            return tuple(Fraction(value, self.unit) if isinstance(value, int) else value
                         for value in values.tolist())

        return Wave(numbers(self.started), numbers(self.free), numbers(self.busy), tuple(self.peaks.tolist()))


def _exact(values: Sequence[Number]) -> tuple[list[int], int]:
    """Converts whole numbers and Fractions to multiples of one unit. Returns these multiples, and the number
    of units in 1. For example, [1/2, 1/3] gives [3, 2] and 6.
    """
    fractions = [Fraction(value) for value in values]
    unit = math.lcm(*(value.denominator for value in fractions))
    return [int(value * unit) for value in fractions], unit


def _arrays(times: list[Number], sizes: list[Number], ranks: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Converts times and sizes to arrays: floats if there is a float among them, otherwise integers. Returns
    also the unit of their products, as the number of units in 1.
    """
    if any(isinstance(value, float) for value in (*times, *sizes)):
        return np.array(times, dtype=float), np.array(sizes, dtype=float), 1
    (whole_times, unit), (whole_sizes, unit_of_sizes) = _exact(times), _exact(sizes)
    # the time if all instructions and messages come one after the other
    longest = (sum(whole_times) + 2 * ranks * whole_times[-1]) * sum(whole_sizes)
    if longest > np.iinfo(np.int64).max:
        raise ScheduleError(f"the times add up to {longest} units of 1/{unit * unit_of_sizes}, beyond 64 "
                            "bits; round them")
    return np.array(whole_times), np.array(whole_sizes), unit * unit_of_sizes
