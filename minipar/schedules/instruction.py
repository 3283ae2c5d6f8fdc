"""A pipeline schedule as plain data: which rank computes what, in which order.

The model is cut into stages, the batch into micro-batches. A rank has one stage or several, and a schedule
lists, for every rank, its instructions in order:

    F   forward of one stage for one micro-batch
    B   backward of the same: all of it, or the gradient of the stage's input alone where the schedule splits backward
    W   the gradients of the stage's weights, where the schedule splits backward (Qi et al. 2023, arXiv 2401.10241)

Nothing is said of sends and receives: `lower` derives them. The same lists are linted, simulated, executed
and drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

KINDS = ("F", "B", "W")


class Instruction(NamedTuple):
    """kind: one of KINDS. stage: counted over the whole model. micro: which micro-batch."""

    kind: str
    stage: int
    micro: int

    def __str__(self) -> str:
        """F3 of stage 1 is "F3@1"."""
        return f"{self.kind}{self.micro}@{self.stage}"


@dataclass(frozen=True)
class Schedule:
    """orders: of each rank, its instructions. stage_to_rank: of each stage, the rank that has it.

    split: backward is B and W; otherwise B alone is the whole of it. forward_only: an inference, which has no
    backward.
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
        """Whether every stage adds up the gradients of its weights in the order of micro-batches, as one
        process does.
        """
        kind = "W" if self.split else "B"
        last: dict[int, int] = {}
        for step in (step for order in self.orders for step in order if step.kind == kind):
            if step.micro < last.get(step.stage, 0):
                return False
            last[step.stage] = step.micro
        return True

    def stages_of(self, rank: int) -> list[int]:
        """The stages that a rank has, in the model's order."""
        return self._stages_by_rank.get(rank, [])

    @cached_property
    def _stages_by_rank(self) -> dict[int, list[int]]:
        """Found once: a search for each rank would take the square of their number."""
        found: dict[int, list[int]] = {}
        for stage, owner in enumerate(self.stage_to_rank):
            found.setdefault(owner, []).append(stage)
        return found
