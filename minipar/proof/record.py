"""The arrays that a rank records in a run, and the ones it must have recorded.

A record is a table: item ("gradients") -> location (a parameter) -> the recorded array, with a function that
takes this rank's part of the whole array of one process. Items are in the order in which a mistake reaches
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from minipar.arrays import Arrays
from minipar.config import ModelConfig
from minipar.parallel.grid import Grid
from minipar.plan.amounts import SentTotals
from minipar.plan.parameters import rank_shapes
from minipar.plan.stages import Share, stages_of
from minipar.training.trainer import Trainer


class Location(NamedTuple):
    """Where an array was recorded. kind: at a parameter; at the input or the output of a region; a value that
    all ranks have; or an array of the whole state, which rank 0 has. name: of the parameter, the layer or the
    value. before: a prefix of the name in texts, such as "step 2, ".
    """

    kind: Literal["parameter", "into", "out of", "value", "state"]
    name: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind in ("into", "out of") else self.before + self.name


class Seen(NamedTuple):
    """own: a function from the whole array, as on one process, to the part that `values` must equal."""

    values: np.ndarray
    own: Callable[[np.ndarray], np.ndarray]


Entries = dict[Location, Seen]                                      # of one item
Record = dict[str, Entries]
Sending = dict[tuple[str, str, str], SentTotals]                    # by (group, operation, label)
TABLE = "tokens"  # the token embedding; if tied, also the head


@dataclass
class RankRun:
    """What a rank has after a run. sent: what it sent in the steps, without the messages of the proof itself.

    again: op -> how often backward recomputed it. diverged: (what differs after the state was restored in
    another trainer, absolute and relative difference); "" if nothing differs. feedback: what compressed
    gradients have lost, or "".
    """

    trainer: Trainer
    grid: Grid
    record: Record
    sent: Sending
    again: dict[str, int] = field(default_factory=dict)
    diverged: tuple[str, float, float] = ("", 0.0, 0.0)
    feedback: str = ""


def part_of(reference: Record, run: RankRun) -> Record:
    """The part of the reference that a rank must have recorded: locations of its own stages, and those
    without a stage.

    The owner of a location is computed from the layout, not from the stages that the rank has built. So a
    location that no rank recorded is reported as missing on its owner.
    """
    model = run.trainer.model
    mine = stages_of(model, run.grid.layout).of_rank(run.grid.at["pp"])
    parameters, layers = rank_shapes(model, share=mine), layer_names(model, mine)

    def here(at: Location) -> bool:
        if at.kind == "parameter":
            return at.name in parameters
        if at.kind in ("into", "out of"):
            if at.name == TABLE:  # a tied head has the same name
                return mine.last if at.kind == "into" else mine.first
            return at.name in layers
        return at.kind == "value" or run.grid.world.rank == 0

    return {item: {at: seen for at, seen in entries.items() if here(at)}
            for item, entries in reference.items()}


def layer_names(model: ModelConfig, share: Share) -> set[str]:
    """The names of the layers with parameters in a stage's share of the model."""
    return {name.rpartition(".")[0] for name in rank_shapes(model, share=share)}


def of_parameters(trainer: Trainer, arrays: Arrays, before: str = "") -> Entries:
    """arrays: of the parameters' shapes, by name; copies. before: the prefix of their names."""
    return {Location("parameter", p.name, before): Seen(arrays[p.name], p.own)
            for p in trainer.store.parameters}


def copied(arrays: Arrays) -> dict[str, np.ndarray]:
    """Copies of arrays that the next step changes."""
    return {name: array.copy() for name, array in arrays.items()}


def numbered(what: str, values: Sequence[float | np.ndarray], first: int = 1) -> Entries:
    """Values that all ranks have, numbered from `first`: "step 1" -> the value."""
    return {Location("value", f"{what} {number}"): Seen(np.asarray(value), np.asarray)
            for number, value in enumerate(values, first)}
