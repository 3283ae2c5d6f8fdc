"""The training loop runs steps, validations and checkpoints until the last step, or until a rank asks to
stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.errors import DivergenceError
from minipar.training.run_folder import RunFolder
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer

AfterStep = Callable[[StepResult, float | None], object]


@dataclass
class FitResult:
    """Holds the result of `fit`. `steps` has one result per step. `validations` maps a step to its validation
    loss, in nats per token.

    `stopped` is the number that `stop` returned on some rank, or 0 if the training reached its last step.
    """

    steps: list[StepResult] = field(default_factory=list)
    validations: dict[int, float] = field(default_factory=dict)
    stopped: int = 0


def fit(trainer: Trainer, folder: RunFolder | None = None, *, stop: Callable[[], int] = lambda: 0,
        progress: AfterStep = lambda result, validation: None) -> FitResult:
    """Run the trainer's steps up to `trainer.config.steps`. All ranks of the trainer's grid call this
    function.

    `folder` receives metrics and checkpoints. If it is None, no file is written. `stop()` is called before
    each step on every rank. If it returns a number other than 0 on any rank, all ranks stop before this step.
    In `minipar train`, `stop` returns the number of a received signal. `progress(result, validation)` is
    called after each step. `validation` is the last validation loss, or None before the first validation.

    Raises the errors of `Trainer.step` and `RunFolder.save`.

    >>> import minipar as mp
    >>> text = "to be or not to be, " * 40
    >>> letters = mp.make_tokenizer("char", text)
    >>> model = mp.ModelConfig(vocabulary=letters.vocab_size, context=8, layers=1, heads=1, width=8)
    >>> config = mp.TrainConfig(batch=4, steps=2, validation_windows=2)
    >>> def training(comm):
    ...     grid = mp.Grid(comm, mp.Layout(dp=2))
    ...     return len(mp.fit(mp.Trainer(model, config, letters, letters.encode(text), grid)).steps)
    >>> mp.run(2, training)
    [2, 2]
    """
    config, result, saved = trainer.config, FitResult(), trainer.steps_done
    validation: float | None = None
    with _last_checkpoint_named(folder):
        while trainer.steps_done < config.steps:
            result.stopped = agree(stop(), trainer.grid.world)
            if result.stopped:
                break
            step = trainer.step()
            result.steps.append(step)
            _log_step(folder, config.precision, step)
            fresh = None
            last = trainer.steps_done == config.steps
            if last or trainer.steps_done % config.validate_every == 0:
                fresh = validation = result.validations[step.step] = trainer.validate()
                if folder is not None:
                    folder.log(step=step.step, validation=validation)
            if folder is not None and (last or trainer.steps_done % config.save_every == 0):
                folder.save(trainer, fresh)
                saved = trainer.steps_done
            progress(step, validation)
        if folder is not None and trainer.steps_done != saved:      # save the steps before a stop
            folder.save(trainer)
    return result


@contextmanager
def _last_checkpoint_named(folder: RunFolder | None) -> Iterator[None]:
    """Adds the path of the last good checkpoint to a DivergenceError that is raised in the block."""
    try:
        yield
    except DivergenceError as error:
        if folder is None:
            raise
        raise DivergenceError(f"{error}; the last good checkpoint is {folder.checkpoints.latest()}",
                              **error.facts) from None


def agree(number: int, world: Communicator) -> int:
    """Returns the maximum of the ranks' numbers on every rank. All ranks call this function."""
    return int(all_reduce(world, np.array([number]), "max", label="signal")[0])


def _log_step(folder: RunFolder | None, precision: str, result: StepResult) -> None:
    if folder is None:
        return
    scaled = {"loss_scale": result.scale, "skipped": result.skipped} if precision == "float16" else {}
    folder.log(step=result.step, loss=result.loss, norm=None if result.skipped else result.norm, lr=result.lr,
               seconds=round(result.seconds, 6), tokens=result.tokens, **scaled)
