"""Defines the times of instructions and messages in the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minipar.errors import ScheduleError
from minipar.records import Number


@dataclass(frozen=True)
class Costs:
    """Holds the times of instructions and messages, in any unit. Whole numbers and Fractions give exact
    results.

    F, B, W: the time of each kind of instruction, one number for all stages or one per stage. A backward that
    is not split takes B + W. So the same costs can be used for schedules with and without split backward.
    message: the time of a message between two ranks. Several messages can be in flight at the same
    time, and senders do not wait. sizes: the relative size of each micro-batch; None for equal sizes. The
    size scales all times of the micro-batch.
    """

    F: Number | Sequence[Number] = 1
    B: Number | Sequence[Number] = 1
    W: Number | Sequence[Number] = 1
    message: Number = 0
    sizes: Sequence[Number] | None = None

    def __post_init__(self) -> None:
        if self.message < 0:
            raise ScheduleError(f"a message takes {self.message}; it may not be negative")

    def per_stage(self, kind: str, stages: int) -> list[Number]:
        """Returns the times of one kind of instruction. Raises ScheduleError unless there is one time per
        stage, or if a time is negative.
        """
        return _checked(getattr(self, kind), stages, f"times of {kind}", "stages")

    def per_micro(self, micro_batches: int) -> list[Number]:
        """Returns the sizes. Raises ScheduleError unless there is one size per micro-batch, or if a size is
        negative.
        """
        return _checked(1 if self.sizes is None else self.sizes, micro_batches, "sizes", "micro-batches")


def _checked(given: Number | Sequence[Number], number: int, what: str, of_what: str) -> list[Number]:
    each = list(given) if isinstance(given, Iterable) else [given] * number
    if len(each) != number:
        raise ScheduleError(f"{len(each)} {what} for {number} {of_what}; give one for each, or one for all")
    if negative := [value for value in each if value < 0]:
        raise ScheduleError(f"{negative[0]} is among the {what}; none may be negative")
    return each
