"""`minipar train`: train a GPT on text, into a run's folder, from the start or on from its last checkpoint."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
from dataclasses import asdict
from types import FrameType

from tqdm import tqdm

from minipar.cli.options import add_config_options, given
from minipar.config import ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import make_tokenizer, tokenizer_from_dict
from minipar.errors import CheckpointError, DataError, DivergenceError
from minipar.generate import generate
from minipar.plots.loss import draw_loss
from minipar.runs import Run, read_metrics
from minipar.train import Trainer

SAMPLE = 400                                                        # tokens of generated text at the end


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("train", help="train a GPT on text", description=__doc__)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--out", default="runs/train", metavar="DIR", help="folder of the new run (default runs/train)")
    place.add_argument("--resume", metavar="DIR", help="go on with the run in this folder; other options overrule its own")
    add_config_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    folder = Run(options.resume or options.out)
    trainer = _resumed(folder, options) if options.resume else _new(folder, options)
    with Interruption() as interruption:
        try:
            _train(trainer, folder, interruption)
        except DivergenceError as error:
            raise DivergenceError(f"{error}; the last good checkpoint is {folder.checkpoints.latest()}") from None
    draw_loss(read_metrics(folder.metrics), folder.folder / "loss.png")
    if trainer.done < trainer.config.steps:
        print(f"minipar train: stopped by {interruption.name} after step {trainer.done} of {trainer.config.steps}, saved; "
              f"go on with: minipar train --resume {folder.folder}", file=sys.stderr)
        return 128 + interruption.number
    _summary(trainer, folder)
    return 0


def _new(folder: Run, options: argparse.Namespace) -> Trainer:
    train = TrainConfig(**given(options, TrainConfig))
    text = load_text(train.data or None)
    tokenizer = make_tokenizer(train.tokenizer, text)
    model = ModelConfig(**{**given(options, ModelConfig), "vocabulary": tokenizer.vocab_size})
    trainer = Trainer(model, train, tokenizer, tokenizer.encode(text))
    folder.create({"model": asdict(model), "train": asdict(train)})
    folder.checkpoints.save(0, *trainer.state())                    # from here on there is always one to go on from
    return trainer


def _resumed(folder: Run, options: argparse.Namespace) -> Trainer:
    path, arrays, meta = folder.latest()
    model = ModelConfig(**{**meta["model"], **given(options, ModelConfig)})
    train = TrainConfig(**{**meta["train"], **given(options, TrainConfig)})
    tokenizer = tokenizer_from_dict(meta["tokenizer"])
    if train.tokenizer != meta["train"]["tokenizer"]:
        raise CheckpointError(f"{path} was trained with the {meta['train']['tokenizer']} tokenizer; leave --tokenizer out")
    text = load_text(train.data or None)
    try:
        tokens = tokenizer.encode(text)
    except DataError as error:
        raise CheckpointError(f"{path} was trained on another text: {error}; give the same --data") from error
    trainer = Trainer(model, train, tokenizer, tokens)
    trainer.restore(arrays, meta, path)
    if trainer.done >= train.steps:
        raise CheckpointError(f"{path} has done all {train.steps} steps; give more with --steps")
    folder.go_on({"model": asdict(model), "train": asdict(train)}, trainer.done)
    return trainer


def _train(trainer: Trainer, folder: Run, interruption: Interruption) -> None:
    """Steps until the last one or an interruption, with metrics, validations and checkpoints."""
    config, shown, saved = trainer.config, "", trainer.done
    with tqdm(total=config.steps, initial=trainer.done, unit="step", dynamic_ncols=True, desc="training") as bar:
        while trainer.done < config.steps and not interruption.number:
            step = trainer.step()
            folder.log(step=step.step, loss=step.loss, norm=step.norm, lr=step.lr, seconds=round(step.seconds, 6))
            last = trainer.done == config.steps
            validation = None
            if last or trainer.done % config.validate_every == 0:
                validation = trainer.validate()
                folder.log(step=step.step, validation=validation)
                shown = f", validation {validation:.3f}"
            if last or trainer.done % config.save_every == 0:
                folder.checkpoints.save(trainer.done, *trainer.state(), loss=validation)
                saved = trainer.done
            bar.set_postfix_str(f"loss {step.loss:.3f}{shown}, {step.tokens / step.seconds:,.0f} tokens/s", refresh=False)
            bar.update()
    if trainer.done != saved:                                       # after the loop: no moment to interrupt in is missed
        folder.checkpoints.save(trainer.done, *trainer.state())


def _summary(trainer: Trainer, folder: Run) -> None:
    parameters = sum(p.size for p in trainer.model.parameters())
    validation = [line["validation"] for line in read_metrics(folder.metrics) if "validation" in line]
    print(f"{parameters:,} parameters, {trainer.done} steps, validation loss {validation[-1]:.4f} nats per token")
    print(f"pictures, metrics and checkpoints: {folder.folder}")
    start = trainer.tokenizer.decode([int(trainer.batches.get(0)[0][0, 0])])
    prompt = trainer.tokenizer.encode(start).tolist()
    tokens = list(itertools.islice(generate(trainer.model, prompt, temperature=0.8, seed=trainer.config.seed), SAMPLE))
    print(f"a sample:\n{'-' * 72}\n{start}{trainer.tokenizer.decode(tokens)}\n{'-' * 72}")


class Interruption:
    """While it is entered, Ctrl-C and SIGTERM do not end the process but are noted: the step ends, the state is saved.

    A second Ctrl-C ends it at once. number: of the signal, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, object] = {}

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)                          # type: ignore[arg-type]
