"""A pipeline schedule as plain data: which rank computes what, in which order.

The model is divided into stages, the batch into micro-batches. A rank has one or more stages. A schedule is,
for every rank, the list of its instructions:

    F   forward of one stage for one micro-batch
    B   backward of that stage and micro-batch; if the schedule splits backward, only the gradient of the
        input
    W   if the schedule splits backward: the gradients of the stage's weights (Qi et al. 2023)

Sends and receives are not in the list: `lower` derives them. The same lists are linted, simulated, executed
and drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from minipar.errors import ScheduleError, shown
from minipar.records import is_whole

KINDS = ("F", "B", "W")


class Instruction(NamedTuple):
    """kind: one of KINDS. stage: its number in the whole model. micro: the number of the micro-batch."""

    kind: str
    stage: int
    micro: int

    def __str__(self) -> str:
        """For example "F3@1": the forward of micro-batch 3 on stage 1."""
        return f"{self.kind}{self.micro}@{self.stage}"


@dataclass(frozen=True)
class Schedule:
    """orders: the instructions of each rank. stage_to_rank: the rank of each stage.

    split: backward is B and W; otherwise B is the whole backward. forward_only: inference, without backward.
    """

    name: str
    micro_batches: int
    stage_to_rank: tuple[int, ...]
    orders: tuple[tuple[Instruction, ...], ...]
    split: bool = False
    forward_only: bool = False

    @property
    def ranks(self) -> int:
        return len(self.orders)

    @property
    def stages(self) -> int:
        return len(self.stage_to_rank)

    @property
    def in_order(self) -> bool:
        """Whether every stage adds the gradients of its weights in the order of micro-batches, as one process
        does.
        """
        kind = "W" if self.split else "B"
        last: dict[int, int] = {}
        for step in (step for order in self.orders for step in order if step.kind == kind):
            if step.micro < last.get(step.stage, 0):
                return False
            last[step.stage] = step.micro
        return True

    def stages_of(self, rank: int) -> list[int]:
        """The stages of a rank, in the order of the model. Raises ScheduleError for a rank that the schedule
        does not have.
        """
        if not is_whole(rank) or not 0 <= rank < self.ranks:
            raise ScheduleError(f"rank is {shown(rank)}; {self.name} has the ranks 0 to {self.ranks - 1}",
                                item="rank")
        return self._stages_by_rank.get(rank, [])

    @cached_property
    def _stages_by_rank(self) -> dict[int, list[int]]:
        """Computed once; a search for each rank would take quadratic time."""
        found: dict[int, list[int]] = {}
        for stage, owner in enumerate(self.stage_to_rank):
            found.setdefault(owner, []).append(stage)
        return found
