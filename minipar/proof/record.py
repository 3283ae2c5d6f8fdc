"""What a rank has seen in a run, place by place, and what of the whole it should have seen.

A record is a table: item ("gradients") -> place ("blocks.0.mlp.up.weight") -> what was seen there, with the
way to take this rank's part of the whole that one process sees. The items stand in the order in which a
mistake would reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from minipar.parallel.grid import Grid
from minipar.plan.amounts import SentTotals
from minipar.plan.stages import stages_of
from minipar.training.trainer import Trainer


class Seen(NamedTuple):
    """own: from the whole array, as one process has it, to the part that `values` should be."""

    values: np.ndarray
    own: Callable[[np.ndarray], np.ndarray]


Record = dict[str, dict[str, Seen]]
Sending = dict[tuple[str, str, str], SentTotals]                         # by (group, operation, label)
WHOLE = "saved state"                                               # the item that rank 0 has alone


@dataclass
class RankRun:
    """What a rank has after a run. sent: what it sent in the steps, without what verifying sends.

    again: op -> how often backward computed it again. astray: what differs after the state was restored in
    another trainer, with the sizes of the difference; "" if nothing does.
    """

    trainer: Trainer
    grid: Grid
    record: Record
    sent: Sending
    again: dict[str, int] = field(default_factory=dict)
    astray: tuple[str, float, float] = ("", 0.0, 0.0)


def part_of(reference: Record, run: RankRun) -> Record:
    """What of the reference a rank should have seen: places of its own stages, and what belongs to no stage.

    Whose a place is follows from the layout, not from the stages that the rank has made: what nobody has seen
    is missed by the rank that should have.
    """
    model = run.trainer.model
    mine = stages_of(model, run.grid.layout).of_rank(run.grid.at["pp"])

    def here(item: str, place: str) -> bool:
        if item == WHOLE:
            return run.grid.world.rank == 0
        name = place.rpartition(" ")[2]                             # of a layer or a parameter, or a number
        if name.startswith("blocks."):
            return int(name.split(".")[1]) in mine.layers
        if name == "tokens.weight":
            return mine.first or mine.last and model.tied
        if name == "positions.weight" or place == "out of tokens":
            return mine.first
        return mine.last or name.isdigit()

    return {item: {place: seen for place, seen in places.items() if here(item, place)} for item,
            places in reference.items()}


def named(trainer: Trainer, buffer: np.ndarray, before: str = "") -> dict[str, Seen]:
    """The parameters' parts of a flat buffer; `before` stands before their names."""
    arrays = trainer.flat.by_name(buffer)
    return {before + p.name: Seen(arrays[p.name], p.own) for p in trainer.flat.parameters}


def numbers(what: str, values: Sequence[float | np.ndarray], first: int = 1) -> dict[str, Seen]:
    """What all ranks know, one number or array after the other: `what` and how manieth it is -> the value."""
    return {f"{what} {number}": Seen(np.asarray(value), np.asarray) for number,
            value in enumerate(values, first)}
