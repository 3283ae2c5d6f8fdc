"""Defines a pipeline schedule as plain data: the instructions of each rank in their order.

The model is divided into stages, and the batch into micro-batches. A rank has one or more stages. A schedule
has a list of instructions for every rank:

    F   forward of one stage for one micro-batch
    B   backward of that stage and micro-batch; if the schedule splits backward, only the gradient of the
        input
    W   the gradients of the stage's weights, if the schedule splits backward (Qi et al. 2023)

The list has no sends and receives; `lower` derives them. The same lists are linted, simulated, executed and
drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from minipar.errors import ScheduleError, shown
from minipar.records import is_whole

KINDS = ("F", "B", "W")


class Instruction(NamedTuple):
    """Describes one instruction of a schedule. kind: one of KINDS. stage: the number of the stage in the
    whole model. micro: the number of the micro-batch.
    """

    kind: str
    stage: int
    micro: int

    def __str__(self) -> str:
        """Returns for example "F3@1", which is the forward of micro-batch 3 on stage 1."""
        return f"{self.kind}{self.micro}@{self.stage}"


@dataclass(frozen=True)
class Schedule:
    """Describes a pipeline schedule. orders: the instructions of each rank. stage_to_rank: the rank of each
    stage.

    split: if true, backward is B and W. Otherwise B is the whole backward. forward_only: true for inference,
    which has no backward.
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
        """True if every stage adds the gradients of its weights in the order of micro-batches, like one
        process.
        """
        kind = "W" if self.split else "B"
        last: dict[int, int] = {}
        for order in self.orders:
            for instruction in order:
                if instruction.kind == kind:
                    if instruction.micro < last.get(instruction.stage, 0):
                        return False
                    last[instruction.stage] = instruction.micro
        return True

    def stages_of(self, rank: int) -> list[int]:
        """Returns the stages of a rank in the order of the model. Raises ScheduleError for a rank that does
        not exist.
        """
        if not is_whole(rank) or not 0 <= rank < self.ranks:
            raise ScheduleError(f"rank is {shown(rank)}; {self.name} has the ranks 0 to {self.ranks - 1}",
                                item="rank")
        return self._stages_by_rank.get(rank, [])

    @cached_property
    def _stages_by_rank(self) -> dict[int, list[int]]:
        """Returns a dict: rank -> its stages. The table is computed once, because one search per rank would
        take quadratic time.
        """
        found: dict[int, list[int]] = {}
        for stage, owner in enumerate(self.stage_to_rank):
            found.setdefault(owner, []).append(stage)
        return found
