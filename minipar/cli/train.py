"""`minipar train`: train a GPT on text, into a run's folder, from the start or on from its last checkpoint.

Every rank does the same; rank 0 alone writes files, shows the progress and prints the summary.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import shlex
import signal
import sys
from dataclasses import asdict, replace
from typing import Any

from tqdm import tqdm

from minipar.cli.interruption import Interruption
from minipar.cli.options import add_config_options, given, word
from minipar.cli.pictures import attempt
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.cli.summary import costs_per_rank
from minipar.cli.trace import ALPHA, BETA, message_bytes, report
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network
from minipar.config import ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import make_tokenizer, tokenizer_from_dict
from minipar.errors import CheckpointError, DataError, DivergenceError
from minipar.inference.generate import generate
from minipar.parallel.grid import Grid
from minipar.trace.step import is_traceable, require_traceable, trace_step
from minipar.training.fit import agree, fit
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.training.trainer import StepResult, Trainer

SAMPLE = 400                                                        # tokens of generated text at the end


def add_options(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--out", type=word, default="runs/train", metavar="DIR",
                       help="folder of the new run (default runs/train)")
    place.add_argument("--resume", type=word, metavar="DIR",
                       help="go on with the run in this folder; other options overrule its own")
    parser.add_argument("--trace", action="store_true",
                        help="at the end, time a step as minipar trace does, into the run's folder")
    add_config_options(parser)
    add_layout_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    with Interruption() as interruption:
        return on_ranks(options, lambda world: _run_on(Counting(world), options, interruption))


def _run_on(world: Counting, options: argparse.Namespace, interruption: Interruption) -> int:
    grid = Grid(world, layout_of(options))
    if options.trace:
        require_traceable(grid.layout)                              # not after hours of training
    with RunFolder(options.resume or options.out, writes=world.rank == 0) as folder:
        trace = options.trace
        if not options.resume:
            trainer = _new(folder, options, grid)
        else:
            trainer, meta = _resumed(folder, options, grid)
            trace = trace or bool(agree(folder.writes and folder.asked_for_trace(),
                                         world)) and is_traceable(grid.layout)
            if trainer.steps_done == trainer.config.steps and agree(folder.writes and folder.is_finished(trace),
                                                               world):
                return _tell_finished(trainer, folder)
            _go_on(trainer, folder, meta, trace)
        return _train_and_tell(trainer, folder, world, trace, interruption)


def _train_and_tell(trainer: Trainer, folder: RunFolder, world: Counting, trace: bool,
                    interruption: Interruption) -> int:
    """Train to the end, or until told to stop, and say what came of it; returns the exit status."""
    try:
        stopped = _train(trainer, folder, interruption)
    except DivergenceError as error:
        raise DivergenceError(f"{error}; the last good checkpoint is {folder.checkpoints.latest()}") from None
    costs = costs_per_rank(trainer, world)
    traced = [] if stopped or not trace else _traced(trainer, folder, world.inner)
    if world.rank == 0:
        attempt("loss.png", lambda: _draw(folder))
        if stopped:
            name, run = signal.Signals(stopped).name, shlex.quote(str(folder.folder))
            print(f"minipar train: stopped by {name} after step {trainer.steps_done} of {trainer.config.steps}, "
                  "saved; "
                  f"go on with: minipar train --resume {run}", file=sys.stderr)
        else:
            print(*folder.summarise(_summary(trainer, folder, costs, traced)), sep="\n")
    return 128 + stopped if stopped else 0


def _tell_finished(trainer: Trainer, folder: RunFolder) -> int:
    """A run that is finished is no mistake: show its summary, and say how to train it further."""
    if folder.writes:
        steps, run = trainer.config.steps, shlex.quote(str(folder.folder))
        print(folder.summary.read_text(encoding="utf-8", errors="replace"), end="")
        print(f"minipar train: {run} is finished, all {steps} steps; for more: minipar train --resume {run} "
              f"--steps {2 * steps}", file=sys.stderr)
    return 0


def _go_on(trainer: Trainer, folder: RunFolder, meta: dict[str, Any], trace: bool) -> None:
    """Open the folder of a run that goes on, or that only lacks what comes after its last step. All ranks
    call it.
    """
    loss, last = meta.get("loss"), trainer.steps_done - 1
    changed = (meta["model"], meta["train"]) != (asdict(trainer.model), asdict(trainer.config))
    folder.go_on(_asked(trainer, trace), trainer.steps_done, (lambda: folder.save(trainer, loss)) if changed
                 else None)
    # it was stopped there, when there were to be more steps
    if trainer.steps_done == trainer.config.steps and loss is None:
        loss = trainer.validate()
        if folder.writes and not any("validation" in line and line["step"] == last
                                     for line in read_metrics(folder.metrics)):
            folder.log(step=last, validation=loss)
        folder.save(trainer, loss)


def _draw(folder: RunFolder) -> None:
    # Not at the top: matplotlib takes a second to import.
    from minipar.plots.loss import draw_loss
    from minipar.plots.save import save

    save(draw_loss(read_metrics(folder.metrics)), folder.folder / "loss.png")


def _traced(trainer: Trainer, folder: RunFolder, world: Communicator) -> list[str]:
    """What the trace of a step says, on rank 0. All ranks call it."""
    layout, network = trainer.grid.layout, Network(ALPHA, BETA)
    trace = trace_step(world, layout, trainer.model, trainer.config, trainer.tokenizer, trainer.tokens,
                       network)
    if trace is None:
        return []
    return report(folder.folder / "trace", trace, network,
                  message_bytes(trainer.model, trainer.config, layout))


def _new(folder: RunFolder, options: argparse.Namespace, grid: Grid) -> Trainer:
    train = TrainConfig(**given(options, TrainConfig))
    text = load_text(train.data or None)
    tokenizer = make_tokenizer(train.tokenizer, text)
    model = ModelConfig(**{**given(options, ModelConfig), "vocabulary": tokenizer.vocab_size})
    trainer = Trainer(model, train, tokenizer, tokenizer.encode(text), grid)
    _require_same(trainer)
    folder.create(_asked(trainer, options.trace))
    folder.save(trainer)  # from here on there is always one to go on from
    return trainer


def _resumed(folder: RunFolder, options: argparse.Namespace, grid: Grid) -> tuple[Trainer, dict[str, Any]]:
    """The trainer as its last checkpoint has it, and the metadata of that."""
    folder.claim()
    path, arrays, meta = folder.latest(grid.world)
    model = ModelConfig(**{**meta["model"], **given(options, ModelConfig)})
    train = TrainConfig(**{**meta["train"], **given(options, TrainConfig)})
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
    _require_same(trainer)
    if trainer.steps_done > train.steps:
        raise CheckpointError(f"{path} has done {trainer.steps_done} steps, more than {train.steps}; give more "
                              "with --steps")
    return trainer, meta


def _require_same(trainer: Trainer) -> None:
    """Raises DataError where ranks have different texts, options or steps to begin from.

    Such ranks would exchange gradients all the same, and nobody would notice. All ranks call it.
    """
    config = replace(trainer.config, data="")                       # a path may be another one on each host
    known = repr((trainer.model, config, trainer.grid.layout, trainer.text, trainer.steps_done))
    world = trainer.grid.world
    alike = world.split(int.from_bytes(hashlib.blake2b(known.encode(), digest_size=7).digest(), "big"),
                        label="same training")
    assert alike is not None, "every rank has a color"
    if alike.size < world.size:
        raise DataError(f"only {alike.size} of {world.size} ranks agree with rank {world.rank} on text, "
                        "options and step; "
                        f"start all ranks alike, with the same text on every host")


def _asked(trainer: Trainer, trace: bool) -> dict[str, Any]:
    """What was asked for, as config.json tells it."""
    return {"model": asdict(trainer.model), "train": asdict(trainer.config),
            "layout": asdict(trainer.grid.layout), "trace": bool(trace)}


def _train(trainer: Trainer, folder: RunFolder, interruption: Interruption) -> int:
    """Run `fit` with a progress bar; returns the signal that stopped it, or 0."""
    config = trainer.config
    with tqdm(total=config.steps, initial=trainer.steps_done, unit="step", dynamic_ncols=True, desc="training",
              disable=not folder.writes) as bar:
        def show(step: StepResult, validation: float | None) -> None:
            shown = "" if validation is None else f", validation {validation:.3f}"
            bar.set_postfix_str(f"loss {step.loss:.3f}{shown}, {step.tokens / step.seconds:,.0f} tokens/s",
                                refresh=False)
            bar.update()

        return fit(trainer, folder, stop=lambda: interruption.number, progress=show).stopped


def _summary(trainer: Trainer, folder: RunFolder, costs: list[str], traced: list[str]) -> list[str]:
    """One page about a run that is done."""
    model, tokenizer = folder.model()
    parameters = sum(p.size for p in model.parameters())
    validation = [line["validation"] for line in read_metrics(folder.metrics) if "validation" in line]
    start = tokenizer.decode([int(trainer.batches.get(0)[0][0, 0])])
    tokens = generate(model, tokenizer.encode(start).tolist(), temperature=0.8, seed=trainer.config.seed)
    sample = start + tokenizer.decode(list(itertools.islice(tokens, SAMPLE)))
    return [f"{parameters:,} parameters, {trainer.steps_done} steps, validation loss {validation[-1]:.4f} nats per "
            "token", *(costs if trainer.grid.world.size > 1 else []), *traced,
            f"summary, pictures, metrics and checkpoints: {folder.folder}",
            f"a sample:\n{'-' * 72}\n{sample}\n{'-' * 72}"]
