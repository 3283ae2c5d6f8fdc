"""One rank's part of a short training, with everything kept that can be compared.

A record is a table: item ("gradients") -> place ("blocks.0.mlp.up.weight") -> what was seen there, with the way to take
this rank's part of the whole that one process sees. The items stand in the order in which a mistake would reach them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from minipar.comm.collectives import even_counts
from minipar.comm.counting import Counting
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.parallel.grid import Grid
from minipar.parallel.tensor import region_of
from minipar.plan.amounts import Sent
from minipar.plan.stages import stages_of
from minipar.train import Step, Trainer
from minipar.verify.case import RUNS, STEPS, Case, make_trainer
from minipar.verify.recording import Pieces, Recording, joined


class Seen(NamedTuple):
    """own: from the whole array, as one process has it, to the part that `values` should be."""

    values: np.ndarray
    own: Callable[[np.ndarray], np.ndarray]


Record = dict[str, dict[str, Seen]]
Sending = dict[tuple, Sent]                                         # by (group, operation, label)


@dataclass
class Run:
    """What a rank has after a run. sent: what it sent in the steps, without what verifying sends."""

    trainer: Trainer
    grid: Grid
    record: Record
    sent: Sending


def run_rank(world: Communicator, case: Case, run: str) -> Run:
    """This rank's part of a run (a key of RUNS); all ranks of the case's layout call it."""
    counting = Counting(world)
    grid = Grid(counting, case.layout)
    region = Recording(region_of(grid.tp, case.model.context, case.layout.sequence_parallel))
    trainer = make_trainer(case, run, grid, region, region.watch)
    steps, weights, gradients = [], [trainer.flat.data.copy()], []
    for number in range(STEPS):
        region.on = number == 0
        steps.append(trainer.step())
        weights.append(trainer.flat.data.copy())
        gradients.append(trainer.flat.grad.copy())                  # no optimiser of RUNS changes it in its step
    counted = counting.traffic.by("group", "op", "label")
    sent = {key: Sent(tally.calls, tally.messages, tally.bytes) for key, tally in counted.items()}
    record = _sgd(trainer, region, steps, weights, gradients) if run == "SGD" else _adamw(trainer, steps, weights)
    return Run(trainer, grid, record, sent)


def part_of(reference: Record, run: Run) -> Record:
    """What of the reference a rank should have seen: places of its own stages, and what belongs to no stage.

    Whose a place is follows from the layout, not from the stages that the rank has made: what nobody has seen is missed by
    the rank that should have.
    """
    model = run.trainer.model
    mine = stages_of(model, run.grid.layout).of_rank(run.grid.at["pp"])

    def here(place: str) -> bool:
        name = place.rpartition(" ")[2]                             # of a layer or a parameter, or a number
        if name.startswith("blocks."):
            return int(name.split(".")[1]) in mine.layers
        if name == "tokens.weight":
            return mine.first or mine.last and model.tied
        if name == "positions.weight" or place == "out of tokens":
            return mine.first
        return mine.last or name.isdigit()

    return {item: {place: seen for place, seen in places.items() if here(place)} for item, places in reference.items()}


def run_alone(case: Case) -> dict[str, Record]:
    """The reference: the case on one process, by run."""
    return {run: run_rank(solo(), case.alone(), run).record for run in RUNS}


def _sgd(trainer: Trainer, region: Recording, steps: list[Step], weights: list[np.ndarray],
         gradients: list[np.ndarray]) -> Record:
    return {
        "initial weights": _named(trainer, weights[0]),
        "forward": _activations(trainer, region.values),
        "loss": _numbers("step", [steps[0].loss]),
        "backward": _activations(trainer, region.gradients),
        "gradients": _named(trainer, gradients[0]),
        "norm": _numbers("step", [steps[0].norm]),
        "first update": _named(trainer, weights[1]),
        "later gradients": {place: seen for number, flat in enumerate(gradients[1:], 2)
                            for place, seen in _named(trainer, flat, f"step {number}, ").items()},
        "later losses": _numbers("step", [step.loss for step in steps[1:]], first=2),
        "SGD weights": _named(trainer, weights[-1]),
        "validation loss": _numbers("after step", [trainer.validate()], first=STEPS),
    }


def _adamw(trainer: Trainer, steps: list[Step], weights: list[np.ndarray]) -> Record:
    return {
        "AdamW losses": _numbers("step", [step.loss for step in steps]),
        "clipped norms": _numbers("step", [step.norm for step in steps]),
        "AdamW weights": _named(trainer, weights[-1]),
        "AdamW state": {place: seen for slot, buffer in trainer.optimizer.state.items()
                        for place, seen in _named(trainer, buffer, f"{slot} of ").items()},
    }


def _named(trainer: Trainer, buffer: np.ndarray, before: str = "") -> dict[str, Seen]:
    """The parameters' parts of a flat buffer; `before` stands before their names."""
    arrays = trainer.flat.by_name(buffer)
    return {before + p.name: Seen(arrays[p.name], p.own) for p in trainer.flat.parameters}


def _numbers(what: str, values: list[float], first: int = 1) -> dict[str, Seen]:
    return {f"{what} {number}": Seen(np.asarray(value), np.asarray) for number, value in enumerate(values, first)}


def _activations(trainer: Trainer, seen: Pieces) -> dict[str, Seen]:
    """This rank's samples, and its tokens where it does not have all. What is its own is worked out anew: see the mutants."""
    layout, T = trainer.grid.layout, trainer.model.context
    counts, at = even_counts(trainer.config.batch, layout.dp), trainer.grid.at["dp"]
    rows = slice(sum(counts[:at]), sum(counts[: at + 1]))
    shares, at = even_counts(T, layout.tp), trainer.grid.at["tp"]
    places = slice(sum(shares[:at]), sum(shares[: at + 1]))

    def own(tokens: int, whole: np.ndarray) -> np.ndarray:
        return whole[rows] if tokens == T else whole[rows, places]

    return {place: Seen(array, partial(own, array.shape[1])) for place, array in joined(seen).items()}        # [b, T or t, D]
