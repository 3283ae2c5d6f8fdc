"""`minipar plan`: find the fastest layouts of a model on a cluster.

The command computes all layouts. It shows the best ten, the resource that
limits the best one, and how changes of the machine change the result.

    minipar plan --model gpt3-175b --ranks 1024 --machine a100-80g
    minipar plan --model layers=24,width=2048 --ranks 64 --machine h100-80g
    minipar plan --model gpt2 --machine a100-80g --compare dp=4 tp=2,pp=2
    minipar plan --model gpt2 --ranks 8 --machine laptop --prove
    minipar plan --calibrate mine.json

A time is a sum of terms, each with a source (minipar/plan/step_time.py). The
FLOPs per second that a machine reaches depend on its software. --calibrate
measures them. --prove trains a small model with the best layout, on threads
with virtual clocks and the machine's links. It compares time, bytes and
memory with the prediction.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from minipar.cli.files import require_file, write_json
from minipar.cli.options import word
from minipar.cli.pictures import attempt
from minipar.cli.plan_text import comparison, outcome_values, summary
from minipar.config import ModelConfig, TrainConfig
from minipar.errors import ConfigError, LayoutError, shown
from minipar.plan.advice import no_layout_fits, sensitivities
from minipar.plan.machine import machine
from minipar.plan.models import MODELS, find_model
from minipar.plan.search import (
    OBJECTIVES,
    PlanOutcome,
    Task,
    best,
    candidate_from,
    evaluate,
    rank_counts,
    require_objective,
    require_ranks,
    search,
)
from minipar.plan.software import SOFTWARE

DEFAULT_BATCH = 2048  # largest default batch; the default is 8 samples per rank


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=word,
        metavar="NAME|SIZES",
        help=f"{', '.join(MODELS)}; or sizes such as layers=24,width=2048,heads=16",
    )
    parser.add_argument("--ranks", type=int, help="number of ranks: GPUs, chips or cores")
    parser.add_argument(
        "--machine",
        type=word,
        metavar="NAME|FILE",
        help="a machine of minipar/plan/machines, or a file that --calibrate has written",
    )
    parser.add_argument(
        "--batch", type=int, help=f"samples per step (default: 8 per rank, at most {DEFAULT_BATCH})"
    )
    parser.add_argument("--context", type=int, help="tokens per sample (default: the model's)")
    parser.add_argument(
        "--precision", default="bfloat16", help="float32, float16 or bfloat16 (default bfloat16)"
    )
    parser.add_argument("--optimizer", default="adamw", help="sgd, adagrad, adam or adamw (default adamw)")
    parser.add_argument(
        "--software",
        default="megatron-2022",
        help=f"the training program to model: {', '.join(SOFTWARE)} (default megatron-2022)",
    )
    parser.add_argument("--offload", action="store_true", help="the host's memory holds the optimiser's "
                                                               "state")
    parser.add_argument("--objective", default="time", help=f"what to minimise: {', '.join(OBJECTIVES)} "
                                                            "(default time)")
    parser.add_argument("--top", type=int, default=10, help="number of layouts to show (default 10)")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="compare two layouts, such as dp=2,tp=8,pp=4,micro=1,zero=1,sp or "
        "pp=4,pipeline=zb-h1 or pp=4,virtual=2,recompute=full",
    )
    parser.add_argument(
        "--prove", action="store_true", help="run the best layout with a small model, and compare it with "
                                             "the prediction"
    )
    parser.add_argument(
        "--calibrate",
        type=word,
        metavar="FILE",
        help="measure this machine on one rank, and write the machine's file",
    )
    parser.add_argument("--json", type=word, metavar="FILE", help="write every layout to this file")
    parser.add_argument("--out", type=word, metavar="FILE", help="draw the best layouts: a .png or .svg file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    for path, endings in (
        (options.json, ()),
        (options.out, (".png", ".svg")),
        (options.calibrate, (".json",)),
    ):
        if path:
            require_file(path, endings)
    if options.calibrate:
        return _calibrate(options.calibrate)
    task = task_of(options)
    if options.compare:
        return _compare(options, task)
    if options.ranks is None:
        raise LayoutError("--ranks is missing; give the number of GPUs, chips or cores", item="ranks")
    if options.top < 1:
        raise ConfigError(f"--top is {options.top}; show at least 1", item="top")
    require_objective(options.objective)
    counts = rank_counts(options.ranks, options.objective)
    outcomes = [one for count in counts for one in search(task, count)]
    top = best(outcomes, options.objective, options.top)
    if not top:
        raise no_layout_fits(task, options.ranks)
    changes = sensitivities(task, outcomes, options.objective)
    print(*summary(task, options.ranks, outcomes, top, changes), sep="\n")
    if options.json:
        write_json(
            options.json,
            {
                "machine": task.machine.to_dict(),
                "best": [outcome_values(each) for each in top],
                "layouts": [outcome_values(each) for each in outcomes],
            },
        )
    _draw(options, task, top)
    if options.prove:
        return _prove(task, top[0])
    return 0


def task_of(options: argparse.Namespace) -> Task:
    """Return the task that the options describe."""
    for name in ("model", "machine"):
        if getattr(options, name) is None:
            raise ConfigError(f"--{name} is missing; see minipar plan --help", item=name)
    model: ModelConfig = find_model(options.model)
    if options.context is not None:
        model = replace(model, context=options.context)
    ranks = 1 if options.ranks is None else options.ranks
    require_ranks(ranks)
    batch = min(DEFAULT_BATCH, 8 * ranks) if options.batch is None else options.batch
    train = TrainConfig(batch=batch, precision=options.precision, optimizer=options.optimizer)
    if options.software not in SOFTWARE:
        raise ConfigError(
            f"no software is called {shown(options.software)}; choose {', '.join(SOFTWARE)}", item="software"
        )
    software = replace(SOFTWARE[options.software], offload=options.offload)
    return Task(model, train, machine(options.machine), software)


def _compare(options: argparse.Namespace, task: Task) -> int:
    pair = [candidate_from(text) for text in options.compare]
    if options.batch is None:
        batch = min(DEFAULT_BATCH, 8 * max(one.layout.ranks for one in pair))
        task = task._replace(train=replace(task.train, batch=batch))
    outcomes = [evaluate(task, candidate) for candidate in pair]
    if impossible := [one for one in outcomes if one.times is None]:
        raise LayoutError(
            f"{impossible[0].candidate.text()}: {impossible[0].refusal}", item=impossible[0].limit
        )
    print(*comparison(task, *outcomes), sep="\n")
    if options.json:
        write_json(options.json, {"layouts": [outcome_values(each) for each in outcomes]})
    _draw(options, task, outcomes)
    return 0


def _draw(options: argparse.Namespace, task: Task, outcomes: list[PlanOutcome]) -> None:
    def draw() -> None:
        # not imported at the top, since matplotlib takes a second to import
        from minipar.plots.plan import draw_plan
        from minipar.plots.save import save

        save(draw_plan(outcomes, task.machine.usable), options.out)

    if options.out:
        attempt("of the layouts", draw)


def _calibrate(path: str) -> int:
    from minipar.trace.measure_machine import measure_machine  # imports the whole training

    found = measure_machine()
    values: dict[str, Any] = found.to_dict()
    write_json(path, values)
    print(
        f"rate {found.rate / 1e9:.1f} GFLOP/s, memory {found.memory_rate / 1e9:.1f} GB/s, launch overhead "
        f"{1e6 * found.launch:.0f} us per layer and micro-batch"
    )
    print(
        f"link: {1e6 * found.within.latency:.1f} us per message, {found.within.bandwidth / 1e9:.2f} GB/s, "
        f"{1e6 * found.call_overhead:.0f} us per collective call"
    )
    print(f"fitted to: {found.calibration}")
    print(f"use it: minipar plan --machine {path} --precision float32 ...")
    return 0


def _prove(task: Task, winner: PlanOutcome) -> int:
    """Run the layout. Return exit status 0 if all checks agree with the prediction, 1 if not."""
    from minipar.cli.plan_prove import checks, lines_of, shrunk  # imports the whole training

    small = shrunk(winner.candidate)
    found = checks(small, task.machine)
    print(*lines_of(small, found), sep="\n")
    return 0 if all(one.equal for one in found) else 1
