"""The loop from the first step to the last: train, validate, save, and stop early when a rank asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.training.run_folder import RunFolder
from minipar.training.trainer import StepResult, Trainer

AfterStep = Callable[[StepResult, float | None], object]


@dataclass
class FitResult:
    """What `fit` did. steps: one result per step. validations: step -> validation loss, in nats per token.

    stopped: the number that a rank's `stop` returned, 0 if the training reached its last step.
    """

    steps: list[StepResult] = field(default_factory=list)
    validations: dict[int, float] = field(default_factory=dict)
    stopped: int = 0


def fit(trainer: Trainer, folder: RunFolder | None = None, *, stop: Callable[[], int] = lambda: 0,
        progress: AfterStep = lambda result, validation: None) -> FitResult:
    """Run the trainer's steps up to `trainer.config.steps`. All ranks of the trainer's grid call it.

    folder: where metrics and checkpoints go; None keeps nothing on disk. stop: asked before each step on
    every rank; a number that is not 0 on any rank stops all of them before the same step (`minipar train`
    returns the number of a signal). progress(result, validation): called after each step; validation is the
    last validation loss, None before the first one.

    Raises what `Trainer.step` and `RunFolder.save` raise.
    """
    config, done, saved = trainer.config, FitResult(), trainer.steps_done
    validation: float | None = None
    while trainer.steps_done < config.steps:
        done.stopped = agree(stop(), trainer.grid.world)
        if done.stopped:
            break
        result = trainer.step()
        done.steps.append(result)
        _log_step(folder, config.precision, result)
        last, fresh = trainer.steps_done == config.steps, None
        if last or trainer.steps_done % config.validate_every == 0:
            fresh = validation = done.validations[result.step] = trainer.validate()
            if folder is not None:
                folder.log(step=result.step, validation=validation)
        if folder is not None and (last or trainer.steps_done % config.save_every == 0):
            folder.save(trainer, fresh)
            saved = trainer.steps_done
        progress(result, validation)
    if folder is not None and trainer.steps_done != saved:  # after the loop, so that a stop at any moment is saved
        folder.save(trainer)
    return done


def agree(number: int, world: Communicator) -> int:
    """The largest of all ranks' numbers. All ranks call it."""
    return int(all_reduce(world, np.array([number]), "max", label="signal")[0])


def _log_step(folder: RunFolder | None, precision: str, result: StepResult) -> None:
    if folder is None:
        return
    scaled = {"loss_scale": result.scale, "skipped": result.skipped} if precision == "float16" else {}
    folder.log(step=result.step, loss=result.loss, norm=None if result.skipped else result.norm, lr=result.lr,
               seconds=round(result.seconds, 6), **scaled)
