"""`minipar trace` times a training step with virtual clocks. Each rank gets the time that it would take on
its own machine, even if this machine has few cores.

    minipar trace --pp 4 --micro-batches 8 --batch 16 --engine threads

The command writes trace.json for ui.perfetto.dev, timeline.png with the predicted and the measured schedule,
memory.png with the memory of each rank, and summary.json. Without --flops-rate, a rank's time is its CPU
time. With --flops-rate, a rank's time is computed from its FLOPs, so every run gives the same times.

With --flops-rate, the prediction equals the measurement exactly under two conditions: all micro-batches have
the same size, and gradients are summed after the last backward (--gradients flat or parameter). The
prediction does not model micro-batches of different sizes, nor messages during backward (--gradients
buckets). If the ranks of tp do unequal work (--sequence-parallel with an odd context), only the makespan is
exact.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minipar.checkpoint.atomic import refusals_named
from minipar.cli.files import require_folder, write_json
from minipar.cli.options import add_config_options, given, word
from minipar.cli.pictures import attempt
from minipar.cli.ranks import add_layout_options, layout_of, on_ranks
from minipar.cli.trace_text import loss_line, rank_lines
from minipar.comm.collectives.gather_values import same_everywhere
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import write_trace
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.text import load_text
from minipar.data.tokenizer import Tokenizer, make_tokenizer
from minipar.errors import DataError
from minipar.plan.parameters import ITEMSIZE
from minipar.schedules.simulate import Timeline
from minipar.trace.predict import bytes_per_link, predicted
from minipar.trace.step import StepTrace, single_process_losses, trace_step
from minipar.trace.totals import fullest_ranks, rank_totals, sample_of_ranks

ALPHA, BETA = 1e-6, 1e-10                                           # seconds per message, seconds per byte
SHOWN = 64  # largest number of ranks in trace.json; viewers cannot show 1,000


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=word, default="runs/trace", metavar="DIR",
                        help="folder of the results (default runs/trace)")
    group = parser.add_argument_group("clock")
    group.add_argument("--alpha", type=float, default=ALPHA, help=f"seconds per message (default {ALPHA})")
    group.add_argument("--beta", type=float, default=BETA, help=f"seconds per byte (default {BETA})")
    group.add_argument("--flops-rate", type=float, metavar="R",
                       help="FLOPs per second of a rank (default: measure CPU time)")
    add_config_options(parser)
    add_layout_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    task = _task_of(options)                    # once per process: ranks that are threads share this text
    return on_ranks(options, lambda world: _run_on(world, options, task))


class _Task(NamedTuple):
    """The training task. `tokens` is the text as token numbers, integers [number of tokens]. `text` is a hash
    of the text.
    """

    model: ModelConfig
    train: TrainConfig
    tokenizer: Tokenizer
    tokens: np.ndarray
    text: str


def _task_of(options: argparse.Namespace) -> _Task:
    train = TrainConfig(**given(options, TrainConfig))
    text = load_text(train.data or None)
    tokenizer = make_tokenizer(train.tokenizer, text)
    model = ModelConfig(**{**given(options, ModelConfig), "vocabulary": tokenizer.vocab_size})
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return _Task(model, train, tokenizer, tokenizer.encode(text), digest)


def _run_on(world: Communicator, options: argparse.Namespace, task: _Task) -> int:
    if not same_everywhere(world, task.text, "text"):
        raise DataError("the ranks have read different texts; give the same --data on every host, and do not "
                        "change it during the run")
    network, layout = Network(options.alpha, options.beta), layout_of(options)
    if world.rank == 0:
        require_folder(options.out)
    what = task.model, task.train, task.tokenizer, task.tokens
    trace = trace_step(world, layout, *what, network, options.flops_rate)
    if trace is not None:
        # not computed under mpirun, where the other ranks wait for this rank only for a limited time
        single_process = single_process_losses(*what, len(trace.losses)) if options.world is None else ()
        lines = report(Path(options.out), trace, network, message_bytes(task.model, task.train, layout),
                       single_process)
        print(*lines, sep="\n")
    return 0


def message_bytes(model: ModelConfig, train: TrainConfig, layout: Layout) -> int:
    """Return the bytes of one sample's activations between two stages."""
    tokens = -(-model.context // layout.tp) if layout.sequence_parallel else model.context
    return tokens * model.width * ITEMSIZE[train.dtype]


def report(folder: Path, trace: StepTrace, network: Network, message: int,
           single_process: Sequence[float] = ()) -> list[str]:
    """Write the files of a trace; returns its results as lines of text. `message` is the result of
    `message_bytes`. `single_process` has the losses of a single process for comparison; it may be empty.
    """
    with refusals_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    expected, measured = predicted(trace, network, message), trace.measured
    shown = sample_of_ranks(trace.layout, SHOWN)
    write_trace(folder / "trace.json", [event for event in trace.events if event.rank in set(shown)])
    attempt("of the trace", lambda: _draw(folder, trace, expected, measured))
    links, totals = bytes_per_link(trace.events), rank_totals(trace)
    lines = [_title(trace)]
    if single_process:
        lines.append(loss_line(trace.losses, single_process))
    values: dict[str, Any] = {"overlap": [one.hidden for one in totals], "memory": trace.memory,
                              "losses": trace.losses, "losses_of_a_single_process": list(single_process),
                              "memory_predicted": list(map(asdict, trace.ledger)),
                              "bytes_per_link": {f"{sender} to {receiver}": n for (sender, receiver),
                                                 n in links.items()}}
    for name, timeline in (("predicted", expected), ("measured", measured)):
        values[name] = {"makespan_seconds": float(timeline.makespan),
                        "bubble_of_total": float(timeline.bubble()),
                        "bubble_of_ideal": float(timeline.bubble("ideal")),
                        "bubble_over_spans": float(timeline.bubble(over="span"))}
        milliseconds, percent = 1e3 * float(timeline.makespan), 100 * float(timeline.bubble())
        lines.append(f"{name:10} {milliseconds:10.3f} ms, bubble {percent:.1f} % of all time")
    write_json(str(folder / "summary.json"), values)
    part = "" if len(shown) == trace.layout.ranks else f" ({len(shown)} of {trace.layout.ranks} ranks)"
    return [*lines, *rank_lines(trace, totals), f"timeline.png, memory.png, summary.json: {folder}",
            f"for ui.perfetto.dev: {folder / 'trace.json'}{part}"]


def _draw(folder: Path, trace: StepTrace, expected: Timeline, measured: Timeline) -> None:
    # not imported at the top, since matplotlib takes a second to import
    from minipar.plots.save import save
    from minipar.plots.trace import draw_memory, draw_timelines

    save(draw_timelines(expected, measured, _title(trace), trace.layout.dp * trace.layout.tp), folder
         / "timeline.png")
    fullest = fullest_ranks(trace)
    save(draw_memory([trace.memory[rank] for rank in fullest], [trace.ledger[rank].total for rank in fullest],
                     fullest), folder / "memory.png")


def _title(trace: StepTrace) -> str:
    layout, schedule = trace.layout, trace.schedule
    return (f"dp={layout.dp} pp={layout.pp} tp={layout.tp}, {schedule.name}: {schedule.stages} stage(s), "
            f"{schedule.micro_batches} micro-batch(es), {layout.ranks} rank(s)")
