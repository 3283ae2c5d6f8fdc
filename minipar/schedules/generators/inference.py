"""Generates forward-only schedules for evaluation and generation. The stages are on the same ranks as in a
training schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

from minipar.schedules.generators.orders import round_robin, run
from minipar.schedules.instruction import Instruction, Schedule


def forward_only(stage_to_rank: Sequence[int], micro_batches: int) -> Schedule:
    """Returns a breadth-first schedule: all micro-batches pass a rank's first stage, then its next stage.

    stage_to_rank: the rank of each stage.
    """
    orders: list[list[Instruction]] = [[] for _ in range(max(stage_to_rank) + 1)]
    for stage, owner in enumerate(stage_to_rank):
        orders[owner] += run("F", stage, range(micro_batches))
    return Schedule("inference", micro_batches, tuple(stage_to_rank), tuple(map(tuple, orders)),
                    forward_only=True)


def inference(ranks: int, micro_batches: int, virtual: int) -> Schedule:
    """Returns a forward-only schedule with v stages per rank. Stage s is on rank s mod p."""
    return forward_only(round_robin(ranks, virtual), micro_batches)
