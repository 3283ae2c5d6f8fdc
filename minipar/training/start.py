"""Start a training run with a run folder: a new run, or a run that is resumed from its last checkpoint.

All ranks must start with the same text, options and number of steps. Otherwise all ranks raise an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minipar.config import ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import make_tokenizer, tokenizer_from_dict
from minipar.errors import CheckpointError, DataError
from minipar.parallel.grid import Grid
from minipar.training.fit import agree
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.training.trainer import Trainer


@dataclass(frozen=True)
class RunSettings:
    """Holds the options that the user has given. `model` and `train` hold the given fields of ModelConfig and
    TrainConfig. A field that is not given has its default, or the value of the resumed run. If `trace` is
    true, one step is timed at the end.
    """

    model: Mapping[str, Any]
    train: Mapping[str, Any]
    trace: bool = False


def start_run(folder: RunFolder, options: RunSettings, grid: Grid) -> Trainer:
    """Starts a new training: creates the folder and saves the first checkpoint. All ranks of the grid call
    this function.

    Raises the errors of Trainer. Raises DataError if the ranks differ, and CheckpointError if the folder
    already holds a run.
    """
    train = TrainConfig(**options.train)
    text = load_text(train.data or None)
    tokenizer = make_tokenizer(train.tokenizer, text)
    model = ModelConfig(**{**options.model, "vocabulary": tokenizer.vocab_size})
    trainer = Trainer(model, train, tokenizer, tokenizer.encode(text), grid)
    _require_same(trainer)
    folder.start(trainer, options.trace)
    return trainer


def resume_run(folder: RunFolder, options: RunSettings, grid: Grid) -> tuple[Trainer, bool]:
    """Returns the training of the last checkpoint, and True if it is finished. All ranks of the grid call
    this function.

    A training is finished if all its steps have run and all its results exist. Otherwise its folder is opened
    for more steps. Raises CheckpointError if the folder holds no run, or a run that cannot continue with
    these options. Raises also the errors of `start_run`.
    """
    folder.claim()
    path, arrays, meta = folder.latest(grid.world)
    trainer = _restored(path, arrays, meta, options, grid)
    _require_same(trainer)
    config = trainer.config
    if trainer.steps_done > config.steps:
        raise CheckpointError(f"{path} is after {trainer.steps_done} steps, more than {config.steps}; choose "
                              "a larger --steps")
    all_there = agree(folder.writes and folder.is_finished(options.trace), grid.world) > 0
    finished = trainer.steps_done == config.steps and all_there
    if not finished:
        _reopen(folder, options, trainer, meta)
    return trainer, finished


def _restored(path: object, arrays: Mapping[str, Any], meta: Mapping[str, Any], options: RunSettings,
              grid: Grid) -> Trainer:
    model = ModelConfig(**{**meta["model"], **options.model})
    train = TrainConfig(**{**meta["train"], **options.train})
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    if train.tokenizer != meta["train"]["tokenizer"]:
        raise CheckpointError(f"{path} was trained with the {meta['train']['tokenizer']} tokenizer; leave "
                              "--tokenizer out")
    text = load_text(train.data or None)
    try:
        tokens = tokenizer.encode(text)
    except DataError as error:
        raise CheckpointError(f"{path} was trained on another text: {error}; give the same --data") from error
    trainer = Trainer(model, train, tokenizer, tokens, grid)
    trainer.restore(arrays, meta, path)
    return trainer


def _reopen(folder: RunFolder, options: RunSettings, trainer: Trainer, meta: Mapping[str, Any]) -> None:
    """Open the folder of a run that is not finished. The run has steps left, or result files are missing."""
    folder.reopen(trainer, meta, options.trace)
    last = trainer.steps_done - 1
    if trainer.steps_done == trainer.config.steps and meta.get("loss") is None:
        # the run was stopped at this step, when config.steps was larger
        loss = trainer.validate()
        if folder.writes and not any("validation" in line and line["step"] == last
                                     for line in read_metrics(folder.metrics)):
            folder.log(step=last, validation=loss)
        folder.save(trainer, loss)


def _require_same(trainer: Trainer) -> None:
    """Raises DataError if the ranks have different texts, options or numbers of completed steps.

    Without this check, such ranks would exchange gradients, and no error would be raised. All ranks call this
    function.
    """
    config = replace(trainer.config, data="")                       # the path may differ between hosts
    known = repr((trainer.model, config, trainer.grid.layout, trainer.text_digest, trainer.steps_done))
    world = trainer.grid.world
    alike = world.split(int.from_bytes(hashlib.blake2b(known.encode(), digest_size=7).digest(), "big"),
                        label="same training")
    assert alike is not None, "every rank has a color"
    if alike.size < world.size:
        raise DataError(f"only {alike.size} of {world.size} ranks agree with rank {world.rank} on text, "
                        "options and step; start all ranks alike, with the same text on every host")
