"""Which of several things is faster, and by how much, on a machine that is never quiet.

One call of each contender makes a round. Whatever slows the machine for a while slows neighbours in a round
alike, so the ratio of two times of one round is steadier than either time; the median over rounds drops the
rest. Where the allocator happens to put arrays changes a whole process, so everything is repeated in fresh
processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import minipar as mp
from minipar.errors import LayoutError

TimesOfRounds = dict[str, list[float]]                              # contender -> seconds, one per round

ROOT = Path(__file__).resolve().parents[1]
ONE_CORE = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")}


def measure(contenders: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> TimesOfRounds:
    """Processor seconds of each call, round by round; the first `warm_up` rounds are not counted.

    Processor time leaves out the moments in which another program had the core; for one busy thread it is
    otherwise the time on the clock.
    """
    times: TimesOfRounds = {name: [] for name in contenders}
    for _ in range(warm_up + rounds):
        for name, call in contenders.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: seconds[warm_up:] for name, seconds in times.items()}


def in_fresh_processes(script: str, arguments: list[str], restarts: int) -> list[TimesOfRounds]:
    """Run a benchmark script, which prints Times as JSON, so many times: one thread for every library, this
    project in sight.
    """
    environment = os.environ | ONE_CORE | {"PYTHONPATH": str(ROOT)}
    runs = []
    for _ in range(restarts):
        done = subprocess.run([sys.executable, script, *arguments], env=environment, stdout=subprocess.PIPE,
                              text=True)
        if done.returncode:
            sys.exit(done.returncode)
        runs.append(json.loads(done.stdout))
    return runs


def require_ranks(comm: mp.Communicator, least: int, most: int | None = None) -> None:
    """Raises LayoutError, which says how to start the benchmark, on fewer ranks than `least` or more than
    `most`.
    """
    if comm.size < least or (most is not None and comm.size > most):
        script = Path(sys.argv[0]).name
        raise LayoutError(f"this benchmark cannot run on {comm.size} rank(s): minipar launch -n {least} "
                          f"python benchmarks/{script}")


def ratios(runs: list[TimesOfRounds], name: str, base: str) -> list[float]:
    """time of `name` / time of `base`: per run, the median over its rounds; sorted."""
    return sorted(median(a / b for a, b in zip(times[name], times[base], strict=True)) for times in runs)


def milliseconds(runs: list[TimesOfRounds], name: str) -> float:
    """The median over runs of the medians over rounds."""
    return 1e3 * median(median(times[name]) for times in runs)
