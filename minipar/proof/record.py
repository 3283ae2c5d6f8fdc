"""Defines the record of a rank: the arrays that a rank keeps during a run, to compare them with one process.

A record has items such as "gradients", in the order of the computation. An item has locations, such as a
parameter. Each location has the rank's array, and a function that selects this rank's part from the whole
array of one process.
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
    """The location at which an array was recorded.

    kind: "parameter": the gradient or the value of a parameter. "into", "out of": an activation or a gradient
    at the input or output of a parallel layer. "value": a value that all ranks have. "state": an array of a
    checkpoint, which only rank 0 has. name: the name of the parameter, layer or value. before: a
    text before the name in messages, such as "step 2, ".
    """

    kind: Literal["parameter", "into", "out of", "value", "state"]
    name: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.kind in ("into", "out of") else self.before + self.name


class Seen(NamedTuple):
    """A recorded array. own: a function that selects a part of the whole array of one process. The part must
    equal `values`.
    """

    values: np.ndarray
    own: Callable[[np.ndarray], np.ndarray]


Entries = dict[Location, Seen]                                      # location -> array, for one item
Record = dict[str, Entries]
Sending = dict[tuple[str, str, str], SentTotals]                    # the key is (group, operation, label)
TABLE = "tokens"  # name of the token embedding; a tied head has the same name


@dataclass
class RankRun:
    """The data of one rank after a run.

    sent: the number of messages and bytes that the rank sent in the steps, without the messages of the proof
    itself. again: op -> number of times that backward recomputed the op. diverged: the first value that is
    wrong after a second trainer has restored the saved state, as (name, absolute difference, relative
    difference). The name is "" if no value is wrong. feedback: describes the lost part of compressed
    gradients, or is "".
    """

    trainer: Trainer
    grid: Grid
    record: Record
    sent: Sending
    again: dict[str, int] = field(default_factory=dict)
    diverged: tuple[str, float, float] = ("", 0.0, 0.0)
    feedback: str = ""


def part_of(reference: Record, run: RankRun) -> Record:
    """Returns the part of the reference that a rank must have recorded: the locations of its own stages, and
    the locations that belong to no stage.

    The owner of a location follows from the layout, not from the stages that the rank has built. So if no
    rank has recorded a location, the proof reports that it is missing on its owner.
    """
    model = run.trainer.model
    mine = stages_of(model, run.grid.layout).of_rank(run.grid.at["pp"])
    parameters, layers = rank_shapes(model, share=mine), layer_names(model, mine)

    def here(at: Location) -> bool:
        if at.kind == "parameter":
            return at.name in parameters
        if at.kind in ("into", "out of"):
            if at.name == TABLE:  # a tied head has this name, too
                return mine.last if at.kind == "into" else mine.first
            return at.name in layers
        return at.kind == "value" or run.grid.world.rank == 0

    return {item: {at: seen for at, seen in entries.items() if here(at)}
            for item, entries in reference.items()}


def layer_names(model: ModelConfig, share: Share) -> set[str]:
    """Returns the names of the layers that have parameters, for the stages of one rank. share: these stages.
    """
    return {name.rpartition(".")[0] for name in rank_shapes(model, share=share)}


def of_parameters(trainer: Trainer, arrays: Arrays, before: str = "") -> Entries:
    """Returns one entry per parameter. arrays: parameter name -> a copy of its weights, gradients or state.
    before: see Location.
    """
    return {Location("parameter", p.name, before): Seen(arrays[p.name], p.own)
            for p in trainer.store.parameters}


def copied(arrays: Arrays) -> dict[str, np.ndarray]:
    """Copies arrays, because the next step changes them."""
    return {name: array.copy() for name, array in arrays.items()}


def numbered(what: str, values: Sequence[float | np.ndarray], first: int = 1) -> Entries:
    """Returns one entry per value. All ranks must have these values. The names count from `first`, for
    example "step 1", "step 2".
    """
    return {Location("value", f"{what} {number}"): Seen(np.asarray(value), np.asarray)
            for number, value in enumerate(values, first)}
