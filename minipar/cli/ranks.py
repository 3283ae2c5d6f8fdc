"""Runs a command on the ranks of its layout. The ranks are processes of mpirun or threads of this process."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields

from minipar.comm.job import job, ranks_started, timeout_from, warn_of_slurm
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.config import GRADIENTS, Layout
from minipar.errors import ConfigError, LayoutError, MiniparError


def add_layout_options(parser: argparse.ArgumentParser, training: bool = True) -> None:
    """Add --dp, --pp, --tp, related options, and --engine. training: also add the options for a training run.
    """
    group = parser.add_argument_group("layout",
                                      "how the ranks divide the work; it needs dp * pp * tp ranks, from "
                                      "mpirun or as threads")
    add_axes(group, zero=training)
    if training:
        group.add_argument("--sequence-parallel", action="store_true",
                           help="ranks of tp also divide LayerNorm and dropout, by tokens")
        group.add_argument("--gradients", default="flat",
                           help=f"how dp sums gradients: {', '.join(GRADIENTS)} (default flat)")
        group.add_argument("--bucket-bytes", type=int, default=Layout.bucket_bytes,
                           help=f"bytes of gradients in a bucket (default {Layout.bucket_bytes})")
        group.add_argument("--reshard-after-forward", action=argparse.BooleanOptionalAction,
                           default=Layout.reshard_after_forward,
                           help="with --zero 3: free the weights after forward and gather them again for "
                                "backward (the default), or gather each weight once per step")
    add_pipeline_options(group)
    group.add_argument(
        "--engine",
        choices=("auto", "threads"),
        default="auto",
        help="threads: all ranks are threads of this process; auto: the ranks of mpirun, or one rank",
    )
    group.add_argument("--timeout", type=seconds, metavar="SECONDS",
                       help="longest wait for another rank (default: MINIPAR_TIMEOUT, or 30)")


def add_axes(group: argparse._ArgumentGroup, zero: bool = True) -> None:
    """Add --dp, --pp and --tp. zero: also add --zero."""
    group.add_argument("--dp", type=int, default=1, help="number of ranks that divide the batch (default 1)")
    group.add_argument("--pp", type=int, default=1,
                       help="number of ranks that divide the layers, as a pipeline (default 1)")
    group.add_argument("--tp", type=int, default=1, help="number of ranks that divide each layer (default 1)")
    if zero:
        group.add_argument("--zero", type=int, default=Layout.zero, metavar="STAGE",
                           help="stage of ZeRO: ranks of dp shard the optimiser's state (1), also the "
                                "gradients (2), also the weights (3); default 0, none")


def add_pipeline_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that give each pipeline stage its layers and its rank."""
    group.add_argument("--pipeline", default=Layout.pipeline, metavar="SCHEDULE",
                       help="pipeline schedule, a name or a file; see minipar schedule --help (default "
                            f"{Layout.pipeline})")
    group.add_argument("--virtual", type=int, default=Layout.virtual,
                       help="pipeline stages per rank (default: the schedule's own)")
    group.add_argument("--stage-layers", type=_numbers, default=(), metavar="N,N,...",
                       help="layers of each pipeline stage (default: as even as possible)")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers; write for example 2,3,3"
        ) from None


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:                                             # NaN is refused, too
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds; write for example "
                                         "60, or inf")
    return seconds


def layout_of(options: argparse.Namespace) -> Layout:
    given = {field.name: getattr(options, field.name) for field in fields(Layout)
             if hasattr(options, field.name)}
    return Layout(**given)


@contextmanager
def entered(options: argparse.Namespace) -> Iterator[None]:
    """A context for a command. Under mpirun, it joins the job first. Then a later mistake is reported once
    and ends all ranks.

    Under mpirun, raises ConfigError for a command that runs in one process. A command can run on ranks if it
    calls `add_layout_options` or sets `joins_itself`.
    """
    options.world = None
    engine = getattr(options, "engine", None)
    if engine == "auto":
        warn_of_slurm(os.environ)
    elif not getattr(options, "joins_itself", False):
        words = ("minipar", options.command, getattr(options, "action", ""))
        require_one_process("--engine threads" if engine else " ".join(words).rstrip())
    if engine != "auto" or ranks_started(os.environ) is None:
        yield
        return
    with job(timeout=options.timeout) as options.world:
        yield


def tell_once(error: MiniparError) -> None:
    """Report an error that every rank of mpirun raises before the job starts. One rank prints the error, and
    all ranks end.
    """
    if (ranks_started(os.environ) or 1) > 1:
        with job():
            raise error


def require_one_process(what: str) -> None:
    """Raises ConfigError under mpirun, where all processes would do the same work and write the same files.
    """
    if (started := ranks_started(os.environ) or 1) > 1:
        raise ConfigError(f"{what} runs in one process, but mpirun has started {started}; start it without "
                          "mpirun")


def on_ranks(options: argparse.Namespace, function: Callable[[Communicator], int]) -> int:
    """Call the function on every rank. Under mpirun, returns the exit status of this rank; otherwise,
    returns the exit status of rank 0.

    Raises LayoutError if the layout needs several ranks but there is only one.
    """
    ranks = layout_of(options).ranks
    if options.engine == "threads":
        return run(ranks, function, timeout=options.timeout or timeout_from(os.environ))[0]
    if options.world is not None:
        return function(options.world)
    if ranks > 1:
        raise LayoutError(f"this layout needs {ranks} ranks: run mpirun -n {ranks} minipar ..., or add "
                          "--engine threads")
    return function(solo())
