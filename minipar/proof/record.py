"""What a rank has seen in a run, and what of the whole it should have seen.

A record is a table: item ("gradients") -> location (a parameter) -> what was seen there, with the way to take
this rank's part of the whole that one process sees. The items stand in the order in which a mistake would
reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from minipar.config import ModelConfig
from minipar.parallel.grid import Grid
from minipar.plan.amounts import SentTotals
from minipar.plan.parameters import rank_shapes
from minipar.plan.stages import Share, stages_of
from minipar.training.trainer import Trainer


class Location(NamedTuple):
    """Where something was seen. kind: at a parameter; at the input or the output of a region; a value that
    all ranks know; or an array of the whole state, which rank 0 has. name: of the parameter, the layer or the
    value. before: what stands before the name of a parameter in texts, such as "step 2, ".
    """

    kind: Literal["parameter", "into", "out of", "value", "state"]
    name: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind in ("into", "out of") else self.before + self.name


class Seen(NamedTuple):
    """own: from the whole array, as one process has it, to the part that `values` should be."""

    values: np.ndarray
    own: Callable[[np.ndarray], np.ndarray]


Entries = dict[Location, Seen]                                      # of one item
Record = dict[str, Entries]
Sending = dict[tuple[str, str, str], SentTotals]                    # by (group, operation, label)
TABLE = "tokens"  # the layer that looks tokens up; tied, the head too


@dataclass
class RankRun:
    """What a rank has after a run. sent: what it sent in the steps, without what verifying sends.

    again: op -> how often backward computed it again. diverged: what differs after the state was restored in
    another trainer, with the sizes of the difference; "" if nothing does.
    """

    trainer: Trainer
    grid: Grid
    record: Record
    sent: Sending
    again: dict[str, int] = field(default_factory=dict)
    diverged: tuple[str, float, float] = ("", 0.0, 0.0)


def part_of(reference: Record, run: RankRun) -> Record:
    """What of the reference a rank should have seen: locations of its own stages, and what belongs to no
    stage.

    Whose a location is follows from the layout, not from the stages that the rank has made. So what no rank
    has seen is missed by the rank that should have.
    """
    model = run.trainer.model
    mine = stages_of(model, run.grid.layout).of_rank(run.grid.at["pp"])
    parameters, layers = rank_shapes(model, share=mine), layer_names(model, mine)

    def here(at: Location) -> bool:
        if at.kind == "parameter":
            return at.name in parameters
        if at.kind in ("into", "out of"):
            if at.name == TABLE:  # a tied head is another layer of that name
                return mine.last if at.kind == "into" else mine.first
            return at.name in layers
        return at.kind == "value" or run.grid.world.rank == 0

    return {item: {at: seen for at, seen in entries.items() if here(at)}
            for item, entries in reference.items()}


def layer_names(model: ModelConfig, share: Share) -> set[str]:
    """The names of the layers of a share of the model that have parameters."""
    return {name.rpartition(".")[0] for name in rank_shapes(model, share=share)}


def of_parameters(trainer: Trainer, buffer: np.ndarray, before: str = "") -> Entries:
    """The parameters' parts of a flat buffer; `before` stands before their names."""
    arrays = trainer.flat.by_name(buffer)
    return {Location("parameter", p.name, before): Seen(arrays[p.name], p.own)
            for p in trainer.flat.parameters}


def numbered(what: str, values: Sequence[float | np.ndarray], first: int = 1) -> Entries:
    """What all ranks know, one number or array after the other: `what` with its number -> the value."""
    return {Location("value", f"{what} {number}"): Seen(np.asarray(value), np.asarray)
            for number, value in enumerate(values, first)}
