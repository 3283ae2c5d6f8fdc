"""How much faster is a training step on two ranks? Beside it, where PyTorch is installed, its DDP over gloo
on two processes.

    python benchmarks/scaling.py [--config small medium] [--restarts 5]

Weak scaling doubles the batch with the ranks, strong scaling shares the same batch. Rank 0 alone is the base,
in turns with the rest within one job, while rank 1 sleeps; see README.md beside this file. "2 ranks apart" is
two serial trainings at once that never talk: what they lose, the machine's shared memory takes, and no
communication can win it back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from importlib.util import find_spec
from statistics import median

import numpy as np
from step import CONFIGS
from turns import ONE_CORE, ROOT, TimesOfRounds, ratios

import minipar as mp
from minipar.comm.solo import solo
from minipar.data.tokenizer import CharTokenizer
from minipar.launcher.launch import find_launcher, launch_command, rank_environment
from minipar.malloc import keep_freed_memory

BASE, APART = "1 rank", "2 ranks apart"
# name -> (layout, times the batch): what the ratio to one rank is called, and how it follows from the time
LAYOUTS = {
    "dp 2, flat": (mp.Layout(dp=2), 2),
    "dp 2, shared memory": (mp.Layout(dp=2, gradients="shared"), 2),
    "dp 2, buckets": (mp.Layout(dp=2, gradients="buckets"), 2),
    "dp 2, same batch, flat": (mp.Layout(dp=2), 1),
    "dp 2, same batch, shared memory": (mp.Layout(dp=2, gradients="shared"), 1),
    "tp 2": (mp.Layout(tp=2), 1),
    "tp 2, sequence parallel": (mp.Layout(tp=2, sequence_parallel=True), 1),
}


def trainer(
    name: str, comm: mp.Communicator, layout: mp.Layout, times: int, micro_batches: int = 1
) -> mp.Trainer:
    model, batch, _ = CONFIGS[name]
    tokenizer = CharTokenizer("".join(chr(0x100 + token) for token in range(model.vocabulary)))
    tokens = np.random.default_rng(0).integers(0, model.vocabulary, 50_000).astype(np.int32)
    train = mp.TrainConfig(batch=batch * times, micro_batches=micro_batches, clip=0)
    return mp.Trainer(model, train, tokenizer, tokens, mp.Grid(comm, layout))


def contenders(name: str, world: mp.Communicator) -> dict[str, Callable[[], object]]:
    single = trainer(name, solo(), mp.Layout(), 1)
    return {
        BASE: lambda: world.rank or single.step(),                   # the other rank waits at the barrier
        APART: single.step,
        **{key: trainer(name, world, *what).step for key, what in LAYOUTS.items()},
    }


def in_turns(
    contenders: dict[str, Callable[[], object]], world: mp.Communicator, rounds: int
) -> TimesOfRounds:
    """Seconds per step and contender, round by round, between two barriers; on every rank."""
    times: TimesOfRounds = {key: [] for key in contenders}
    for number in range(2 + rounds):
        for key, call in contenders.items():
            world.barrier(label="begin")
            began = time.perf_counter()
            call()
            world.barrier(label="end")
            if number >= 2:
                times[key].append(time.perf_counter() - began)
    return times


def run_jobs(command: list[str]) -> TimesOfRounds:
    """What a job prints as JSON on its last line."""
    done = subprocess.run(command, env=rank_environment(os.environ) | ONE_CORE | {"PYTHONPATH": str(ROOT)},
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def report(name: str, restarts: int) -> None:
    ours = ranks_command(__file__, name)
    theirs = [sys.executable, str(ROOT / "benchmarks" / "torch_ddp.py"), name]
    runs, torch_runs = [], []
    for _ in range(restarts):
        runs.append(run_jobs(ours))
        if find_spec("torch"):
            torch_runs.append(run_jobs(theirs))
    print(f"\n{name}: {restarts} jobs of {CONFIGS[name][2]} rounds; one rank takes "
          f"{1e3 * median(runs[0][BASE]):.1f} ms per step")
    for who, jobs in (("minipar", runs), ("PyTorch DDP", torch_runs)):
        for key in (key for key in (jobs[0] if jobs else ()) if key != BASE):
            slower = ratios(jobs, key, BASE)                        # time relative to one rank, sorted
            work = 2 if key == APART else LAYOUTS.get(key, (None, 2 if "same batch" not in key else 1))[1]
            speed = [work / ratio for ratio in reversed(slower)]
            print(f"  {who:12}{key:34}{median(speed):.3f} times one rank's speed ({speed[0]:.3f} to "
                  f"{speed[-1]:.3f}), "
                  f"efficiency {median(speed) / 2:.3f}")


def ranks_command(script: str, name: str) -> list[str]:
    """What measures a configuration in one job of two ranks. Exits where there is no launcher."""
    launcher = find_launcher(rank_environment(os.environ)["PATH"])
    if launcher is None:
        sys.exit("no mpiexec: `minipar doctor` says what to do")
    return launch_command(launcher, 2, [sys.executable, script, "--once", name], root=os.geteuid() == 0)


def run(about: str | None, contenders: Callable[[str, mp.Communicator], dict[str, Callable[[], object]]],
        rounds: Callable[[str], int], report: Callable[[str, int], None], restarts: int,
        configs: Collection[str] = tuple(CONFIGS)) -> None:
    """A benchmark's command line: report on each configuration; or, in the ranks, take turns and print the
    times as JSON.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=configs, default=list(configs))
    parser.add_argument("--restarts", type=int, default=restarts)
    parser.add_argument("--once", choices=configs,
                        help="measure in this job of two ranks and print the times as JSON")
    arguments = parser.parse_args()
    if not arguments.once:
        for name in arguments.config:
            report(name, arguments.restarts)
        return
    keep_freed_memory()
    with mp.job(checked=False) as world:
        times = in_turns(contenders(arguments.once, world), world, rounds(arguments.once))
        if world.rank == 0:
            print(json.dumps(times))


if __name__ == "__main__":
    run(__doc__, contenders, lambda name: CONFIGS[name][2], report, restarts=5)
