"""Records the contents of a checkpoint, and compares a trainer that resumed from it with the original
trainer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.comm.protocol import Communicator
from minipar.proof.record import Location, Record, Seen
from minipar.proof.sending import sent_to_all
from minipar.training.state import TrainingState
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer

Numbers = dict[str, float]


def saved_state(saved: TrainingState) -> Record:
    """Returns the record of a checkpoint: its arrays (only on rank 0) and its numbers. The arrays are copied,
    because the trainer may change them.
    """
    arrays, meta = saved
    scale = meta["loss_scale"]
    counts = [meta["done"], meta["optimizer_steps"], scale["scale"], scale["good"], scale["skipped"],
              scale["in_a_row"]]
    return {"saved state": {Location("state", name): Seen(array.copy(), np.asarray)
                            for name, array in arrays.items()},
            "saved numbers": {Location("value", what): Seen(np.asarray(value, np.float64), np.asarray)
                              for what, value in zip(NUMBERS, counts, strict=True)}}


NUMBERS = ("steps done", "steps of the optimiser", "loss scale", "good steps", "skipped steps",
           "skipped in a row")


def to_all_ranks(world: Communicator, saved: TrainingState) -> TrainingState:
    """Sends the arrays of rank 0 to all ranks. Afterwards each rank has the state, as after reading a
    checkpoint. All ranks call this function.
    """
    arrays, meta = saved
    return sent_to_all(world, arrays, 0, "verify saved state"), meta


Difference = tuple[str, float, float]  # the name of a value, the absolute and the relative difference


def first_difference(straight: tuple[Trainer, StepResult],
                     resumed: tuple[Trainer, StepResult]) -> Difference:
    """Compares two trainers bit by bit after one step of each. straight: the original trainer and the result
    of its step. resumed: the same for the resumed trainer. Returns the name of the first value that differs,
    its absolute difference, and the difference relative to the largest element. The name is "" if all bits
    are equal.
    """
    (one, last), (other, step) = straight, resumed
    pairs: list[tuple[str, Any, Any]] = [(f"{what} of the step after it", getattr(step, what),
                                          getattr(last, what))
                                         for what in ("step", "loss", "norm", "lr", "scale")]
    pairs += _numbers(one, other)
    gradients = zip(other.store.gradients(), one.store.gradients(), strict=True)
    pairs += [("gradient", got, want) for got, want in gradients]
    pairs += [(slot, other.optimizer.state[slot], one.optimizer.state[slot]) for slot in one.optimizer.state]
    pairs += [("weights", got, want) for (_, got), (_, want)
              in zip(other.store.own_weights(), one.store.own_weights(), strict=True)]
    return _different(pairs)


def different_number(original: Trainer, resumed: Trainer) -> Difference:
    """Compares the numbers of a trainer that has just resumed with the numbers of the original trainer. The
    result is like that of first_difference.
    """
    return _different(_numbers(original, resumed))


def _numbers(one: Trainer, other: Trainer) -> list[tuple[str, Any, Any]]:
    """Returns (name, number of `other`, number of `one`) for the numbers that a checkpoint holds."""
    scales = one.scale.state()
    return [("steps done", other.steps_done, one.steps_done),
            ("steps of the optimiser", other.optimizer.steps, one.optimizer.steps),
            *((f"{name} of the loss scale", value, scales[name])
              for name, value in other.scale.state().items())]


def _different(pairs: list[tuple[str, Any, Any]]) -> Difference:
    """Returns the first pair whose bits differ. pairs: (name, the found value, the right value)."""
    for what, got, want in pairs:
        got, want = np.atleast_1d(got), np.atleast_1d(want)
        if got.tobytes() != want.tobytes():
            off, size = float(abs(got - want).max()), float(abs(want).max())
            return what, off, off / size if size else np.inf
    return "", 0.0, 0.0
