"""`minipar train` trains a GPT on text from the start or from the last checkpoint, and writes a run's folder.

    minipar train --steps 200 --out runs/first
    minipar train --resume runs/first --steps 300
    mpirun -n 4 minipar train --dp 2 --tp 2 --steps 200 --out runs/four

Every rank runs the same code; only rank 0 writes files, shows progress and prints the summary.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

from minipar.cli.interruption import Interruption
from minipar.cli.options import add_config_options, given, word
from minipar.cli.pictures import attempt
from minipar.cli.progress import TrainingProgress
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.cli.trace import ALPHA, BETA, message_bytes, report
from minipar.comm.deadlock.launcher_stderr import tell_of_signal
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network
from minipar.config import ModelConfig, TrainConfig
from minipar.errors import CheckpointError, ConfigError
from minipar.parallel.grid import Grid
from minipar.parallel.rank_elements import require_ranks
from minipar.trace.step import is_traceable, require_traceable, trace_step
from minipar.training.build import require_trainable
from minipar.training.elastic import smaller_along_dp
from minipar.training.fit import agree, fit
from minipar.training.report import costs_per_rank, report_lines
from minipar.training.run_folder import RunFolder, read_metrics
from minipar.training.start import RunSettings, resume_run, start_run
from minipar.training.step_result import StepResult
from minipar.training.supervised import Supervised
from minipar.training.trainer import Trainer
from minipar.untrusted.files import MIB, read_bytes


def add_options(parser: argparse.ArgumentParser) -> None:
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument("--out", type=word, default="runs/train", metavar="DIR",
                        help="folder of the new run (default runs/train)")
    folder.add_argument("--resume", type=word, metavar="DIR",
                        help="continue the run in this folder; options that are given replace the run's "
                             "options")
    elastic = parser.add_argument_group(
        "elastic", "start the ranks on this host, and start them again when one dies or is added")
    elastic.add_argument("--elastic", action="store_true", help="supervise the training (without mpirun)")
    elastic.add_argument("--layouts", type=_layouts, metavar="LIST",
                         help="allowed layouts, such as dp4,dp2-tp2,pp2; the largest one that has enough "
                              "ranks is used (default: --dp and all smaller dp, with the same --tp and --pp)")
    elastic.add_argument("--replica-every", type=int, default=1, metavar="STEPS",
                         help="steps between two copies of the state in memory (default 1)")
    elastic.add_argument("--supervised", type=Path, help=argparse.SUPPRESS)  # path of the supervisor's memory
    elastic.add_argument("--go-on", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true",
                        help="at the end, trace a step as minipar trace does, and write the files to the "
                             "run's folder")
    add_config_options(parser)
    add_layout_options(parser)
    parser.set_defaults(run=run)


def _layouts(text: str) -> list[dict[str, int]]:
    """Parse layouts: "dp2-tp2,pp2" becomes [{"dp": 2, "tp": 2}, {"pp": 2}]."""
    layouts = []
    for word_ in text.split(","):
        parts = [re.fullmatch("(dp|tp|pp)([1-9][0-9]{0,3})", part) for part in word_.split("-")]
        axes = {part[1]: int(part[2]) for part in parts if part}
        if len(axes) != len(parts):                                 # an axis is missing or given twice
            raise argparse.ArgumentTypeError(f"{word_!r} is not a layout; write for example dp4,dp2-tp2,pp2")
        layouts.append(axes)
    return layouts


def run(options: argparse.Namespace) -> int:
    if options.replica_every < 1:
        raise ConfigError(f"--replica-every is {options.replica_every}; give 1 step or more")
    if options.elastic and not options.supervised:
        return _supervise(options)
    if options.go_on:
        options.resume = options.resume or options.out
    with Interruption() as interruption:
        return on_ranks(options, lambda world: _run_on(Counting(world), options, interruption))


def _supervise(options: argparse.Namespace) -> int:
    """Start the ranks under a supervisor; returns the exit status of the training."""
    # not imported at the top, since no other training needs it
    from minipar.cli.supervisor import Supervisor

    if options.world is not None or options.engine == "threads":
        raise ConfigError("--elastic starts its ranks itself, as processes: leave mpirun and --engine out")
    layout = layout_of(options)
    axes = {"dp": 1, "pp": 1, "tp": 1}
    allowed = [replace(layout, **{**axes, **given_axes}) for given_axes in options.layouts or []]
    model, train = given(options, ModelConfig), given(options, TrainConfig)
    if options.resume:
        _, _, meta = RunFolder(options.resume).latest()
        model, train = {**meta["model"], **model}, {**meta["train"], **train}
    for one in allowed or [layout]:                                 # checked before many processes start
        require_trainable(one, TrainConfig(**train))
        require_ranks(ModelConfig(**model), one)
    ranks = layout.ranks if allowed == [] else max(one.ranks for one in allowed)
    words = [each for each in options.command_line if each != "--elastic"]
    return Supervisor(words, Path(options.resume or options.out), allowed or smaller_along_dp(layout), ranks,
                      bool(options.resume)).supervise()


def _run_on(world: Counting, options: argparse.Namespace, interruption: Interruption) -> int:
    grid = Grid(world, layout_of(options))
    if options.trace:
        require_traceable(grid.layout)                              # raises now, not after hours of training
    with RunFolder(options.resume or options.out, writes=world.rank == 0) as folder:
        trace = options.trace or bool(options.resume and is_traceable(grid.layout)
                                      and agree(folder.writes and folder.asked_for_trace(), world))
        asked = RunSettings(given(options, ModelConfig), given(options, TrainConfig), trace)
        if not options.resume:
            trainer, finished = start_run(folder, asked, grid), False
        else:
            trainer, finished = resume_run(folder, asked, grid)
        if finished:
            _show_finished(trainer, folder)
            return 0
        supervised = Supervised(options.supervised, world.rank, options.replica_every) \
            if options.supervised else None
        return _train_and_report(trainer, folder, world, trace, interruption, supervised)


def _train_and_report(trainer: Trainer, folder: RunFolder, world: Counting, trace: bool,
                      interruption: Interruption, supervised: Supervised | None) -> int:
    """Train to the end, or until a signal stops the training. Then print a report. Returns the exit status.
    """
    signal_number = _train(trainer, folder, interruption, supervised)
    if signal_number:
        _show_stopped(trainer, folder, signal_number)               # first: the launcher soon kills all ranks
        _draw(folder)
        if supervised and supervised.supervisor_ended():
            supervised.clear()
        return 128 + signal_number
    costs = costs_per_rank(trainer, world) if world.size > 1 else []
    traced = _traced(trainer, folder, world.inner) if trace else []
    _draw(folder)
    if folder.writes:
        print(*folder.summarise(report_lines(trainer, folder, [*costs, *traced])), sep="\n")
    return 0


def _train(trainer: Trainer, folder: RunFolder, interruption: Interruption,
           supervised: Supervised | None) -> int:
    """Run `fit` and show its progress. Returns the signal that stopped the training, or 0. If the supervisor
    has ended, the training stops as it does after SIGHUP.
    """
    with TrainingProgress(trainer.steps_done, trainer.config.steps, shown=folder.writes) as progress:
        if supervised is None:
            return fit(trainer, folder, stop=lambda: interruption.number, progress=progress.show).stopped

        def stop() -> int:
            return interruption.number or (signal.SIGHUP if supervised.supervisor_ended() else 0)

        def after_step(result: StepResult, validation: float | None) -> None:
            progress.show(result, validation)
            supervised.after_step(trainer)

        result = fit(trainer, folder, stop=stop, progress=after_step)
    supervised.leave()
    return result.stopped


def _traced(trainer: Trainer, folder: RunFolder, world: Communicator) -> list[str]:
    """Return the lines of a step's trace on rank 0, and [] on other ranks. All ranks make this call."""
    layout, network = trainer.grid.layout, Network(ALPHA, BETA)
    trace = trace_step(world, layout, trainer.model, trainer.config, trainer.tokenizer, trainer.tokens,
                       network)
    if trace is None:
        return []
    return report(folder.folder / "trace", trace, network,
                  message_bytes(trainer.model, trainer.config, layout))


def _draw(folder: RunFolder) -> None:
    def draw() -> None:
        # not imported at the top, since matplotlib takes a second to import
        from minipar.plots.loss import draw_loss
        from minipar.plots.save import save

        save(draw_loss(read_metrics(folder.metrics)), folder.folder / "loss.png")

    if folder.writes:
        attempt("loss.png", draw)


def _show_stopped(trainer: Trainer, folder: RunFolder, number: int) -> None:
    if folder.writes:
        name, run = signal.Signals(number).name, shlex.quote(str(folder.folder))
        tell_of_signal(f"minipar train: stopped by {name} after step {trainer.steps_done} of "
                       f"{trainer.config.steps}, saved; go on with: minipar train --resume {run}")


def _show_finished(trainer: Trainer, folder: RunFolder) -> None:
    """Print the summary of a finished run, and the command that continues the training."""
    if folder.writes:
        steps, run = trainer.config.steps, shlex.quote(str(folder.folder))
        print(read_bytes(folder.summary, MIB, CheckpointError).decode("utf-8", errors="replace"), end="")
        print(f"minipar train: {run} is finished, all {steps} steps; for more: minipar train --resume {run} "
              f"--steps {2 * steps}", file=sys.stderr)
