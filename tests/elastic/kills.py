"""Real processes under mpirun are killed with SIGKILL; afterwards the training must be as if nothing had
happened.

In each training, chosen by the seed: one or two ranks die at their n-th call of the communicator in a step,
in the restart or in the change of the layout; or one or two die at a random time; or the supervisor dies, and
--resume goes on. The weights must be equal in every bit if only dp changes, else within 1e-12 (plain SGD in
float64), and every step must be in the metrics once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from minipar.cli.supervisor import Supervisor
from minipar.config import Layout
from minipar.training.elastic import smaller_along_dp
from tests.commands import call, command
from tests.elastic.processes import difference, memory_of
from tests.tiny import options

STEPS = 4
EXTRA = ["--optimizer", "sgd", "--dtype", "float64", "--save-every", "2", "--validate-every", "2"]
MIXED = [Layout(dp=2, tp=2), Layout(pp=2), Layout(tp=2), Layout()]


@dataclass
class Planted(Supervisor):
    """A supervisor whose job number i gets plans[i], see dying.py."""

    plans: list[str] = field(default_factory=list)

    def _command(self, memory: Path, layout: Layout) -> list[str]:
        line = super()._command(memory, layout)
        at = line.index("minipar")
        return [*line[:at], "tests.elastic.dying", self.plans.pop(0) if self.plans else "-", *line[at + 1:]]


@dataclass
class Case:
    """The trainings of one kind: which layouts are allowed, and how equal the results must be."""

    name: str
    allowed: Sequence[Layout]
    tolerance: float
    words: list[str]
    plain: Path
    calls: int = 250                # a guess of the calls of a rank, which falls when a plan is not reached


def cases(folder: Path) -> list[Case]:
    both = []
    for name, allowed, tolerance, more in (
            ("dp=4 to 1, bitwise", smaller_along_dp(Layout(dp=4, gradients="bitwise")), 0.0,
             ["--gradients", "bitwise"]),
            ("dp=2 x tp=2, pp=2, tp=2, 1", MIXED, 1e-12, [])):
        (folder / name[:4]).mkdir()
        words = [*options(folder / name[:4], steps=STEPS, layers=2, warm_up=1), *EXTRA]
        plain = folder / name[:4] / "plain"
        assert call("train", *words, *more, "--out", plain) == 0
        both.append(Case(name, allowed, tolerance, ["train", *words, *more], plain))
    return both


def by_message(case: Case, run: Path, chance: random.Random) -> tuple[int, str]:
    """The number of planned deaths, and what was done. Ranks die at the n-th call of one or two jobs."""
    plans, deaths = [], 0
    for _ in range(chance.choice([1, 1, 2])):
        nth, dying = chance.randrange(case.calls), chance.sample(range(4 - deaths), chance.choice([1, 1, 2]))
        if deaths + len(dying) < 4:
            plans.append(",".join(f"{rank}:{nth}" for rank in dying))
            deaths += len(dying)
    replicas = ["--replica-every", str(chance.choice([1, 1, 3, 9]))]  # 9: only checkpoints
    supervisor = Planted(
        [*case.words, *replicas, "--out", str(run)], run, case.allowed, 4, False, plans=list(plans)
    )
    status = supervisor.supervise()
    return 4 - supervisor.ranks, f"plans {plans}, status {status}"


def by_time(case: Case, run: Path, chance: random.Random) -> tuple[int, str]:
    """One or two ranks are killed at a random time, also during the start, a save or the end."""
    wait, count = chance.uniform(0, 2.5), chance.choice([1, 1, 2])
    killed: list[int] = []

    def kill() -> None:
        time.sleep(wait)
        for _ in range(500):
            with suppress(OSError, ValueError, KeyError):
                pids = [int(path.read_text()) for path in memory_of(run).glob("rank-*.pid")]
                if len(pids) > count:
                    for pid in chance.sample(pids, count):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                    return
            time.sleep(0.01)
    thread = threading.Thread(target=kill, daemon=True)
    replicas = ["--replica-every", str(chance.choice([1, 1, 3, 9]))]    # 9: only checkpoints
    supervisor = Planted([*case.words, *replicas, "--out", str(run)], run, case.allowed, 4, False)
    thread.start()
    status = supervisor.supervise()
    thread.join()
    return len(killed), f"{count} ranks after {wait:.3f} s, {4 - supervisor.ranks} counted, status {status}"


def of_supervisor(case: Case, run: Path, chance: random.Random) -> tuple[int, str]:
    """The supervisor is killed at a random time, half of the times together with a rank. The training is
    resumed, or starts anew if nothing was saved.
    """
    wait = chance.uniform(0.5, 3.0)
    layouts = ["--layouts", "dp2-tp2,pp2,tp2,dp1"] if case.tolerance else ["--dp", "4"]
    job = subprocess.Popen(command(case.words[0], "--elastic", *case.words[1:], "--out", run, *layouts),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(wait)
    dying = []
    if chance.random() < 0.5:
        with suppress(OSError, ValueError, KeyError):
            dying = [int(path.read_text()) for path in memory_of(run).glob("rank-*.pid")][:1]
    for pid in [job.pid, *dying]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    job.communicate(timeout=60)                                     # until the ranks have closed it
    saved = any((run / "checkpoints").glob("step-*.npz"))
    gradients = case.words[case.words.index("--gradients"):][:2] if "--gradients" in case.words else []
    status = call("train", "--resume", run, *gradients) if saved else call(*case.words, "--out", run)
    (run / "supervisor.json").unlink(missing_ok=True)
    return 1 + len(dying), f"the supervisor and {len(dying)} ranks after {wait:.3f} s, status {status}"


def campaign(folder: Path, deaths: int, seed: int) -> int:
    """Kill until there are `deaths` deaths; returns the number of trainings that went wrong."""
    kinds = cases(folder)
    counts, wrong, number = dict.fromkeys([case.name for case in kinds], 0), [], 0
    while sum(counts.values()) < deaths:
        case, chance = kinds[number % 2], random.Random(f"{seed} {number}")
        kind = chance.choice([by_message] * 4 + [by_time] * 3 + [of_supervisor])
        run = folder / f"run{number}"
        try:
            died, told = kind(case, run, chance)
            found = difference(run, case.plain, case.tolerance)
        except Exception as error:
            died, told, found = 0, "", f"{type(error).__name__}: {error}"
        if kind is by_message and not died:
            case.calls = max(case.calls * 3 // 4, 40)
        counts[case.name] += died
        line = f"seed {seed}, training {number} ({case.name}, {kind.__name__}: {told}): {found or 'as undisturbed'}"
        print(line, flush=True)
        wrong += [line] if found else []
        number += 1
    for name, count in counts.items():
        print(f"kill -9 under mpirun, {name}: {count} deaths")
    print(*wrong, sep="\n")
    print(
        f"{number} trainings, {len(wrong)} of them with a lost or doubled sample or other weights", flush=True
    )
    return len(wrong)
