"""kill -9 at every file operation of train, save, finish and resume: `python -m tests.checkpoint.kills
--kills 300 --seed 0`.

Each life of a run is a fork of this process, so that 300 take minutes. Before the n-th operation on a file of
the run it kills itself; a write may also be cut in half. The lives go on with --resume (with the first
command, where nothing was saved yet), until one comes to its end. Then the run must equal one that was never
killed, and nothing may be left over.
"""

from __future__ import annotations

import argparse
import builtins
import io
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minipar.checkpoint.folder import Checkpoints
from minipar.cli import main as minipar
from minipar.plots import loss, save  # forks need not import matplotlib again
from tests.tiny import contents, losses, options

WARM = (loss, save)
SIZES = dict(steps=6, save_every=2, validate_every=3, validation_windows=2, warm_up=1)
LIVES = 4                                                           # killed ones, at most, of one run


class Killer:
    """Counts a process's operations on files below a folder, and kills it before number `at`."""

    def __init__(self, folder: Path, at: int, half: bool) -> None:
        self.folder, self.left, self.half = str(folder), at, half

    def step(self, write: Callable[[], object] | None = None) -> None:
        self.left -= 1
        if self.left <= 0:
            if self.half and write is not None:
                write()
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        for name in ("replace", "unlink", "mkdir", "fsync", "rename"):
            setattr(os, name, self.before(getattr(os, name)))
        opens = io.open
        killer = self

        def opened(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
            if isinstance(file, int) or not str(file).startswith(killer.folder) or not set(mode) & set("wax"):
                return opens(file, mode, *given, **named)
            killer.step()
            raw = Counted(file, mode.replace("b", "").replace("t", ""))
            raw.killer = killer
            buffered = io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding=named.get("encoding"))

        io.open = builtins.open = opened

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self.step()
            return function(*given, **named)
        return counted


class Counted(io.FileIO):
    """A file each of whose writes is an operation."""

    killer: Killer

    def write(self, data: Any) -> int:
        self.killer.step(lambda: super(Counted, self).write(bytes(data)[:len(data) // 2]))
        return super().write(data)


def live(words: list[str], folder: Path, at: int, half: bool) -> int | None:
    """One life of `minipar train` in a fork; its exit status, None where it was killed."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_RDWR)
        for file in (1, 2):
            os.dup2(silence, file)
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(file, "w")) for file in (1, 2))
        Killer(folder, at, half).install()
        os._exit(minipar(words))
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = {name: data for name, data in contents(run).items()
                             if name not in ("metrics.jsonl", "summary.txt")}
    text = (run / "summary.txt").read_text().replace(str(run), "RUN")
    return found | {"metrics": losses(run), "summary": text}


def one_run(folder: Path, words: list[str], whole: dict[str, Any], chance: random.Random,
            operations: int) -> tuple[int, str]:
    """(kills, what is wrong) of a run that is killed up to LIVES times and then left alone."""
    run, kills = folder / "run", 0
    told: list[str] = []
    for life in range(LIVES + 1):
        saved = Checkpoints(run / "checkpoints").latest() is not None
        at, half = chance.randint(1, operations) if life < LIVES else 1 << 60, chance.random() < 0.5
        status = live(["train", "--resume", str(run)] if saved else ["train", *words, "--out", str(run)], run,
                      at, half)
        told.append(f"{'resume' if saved else 'new'} killed at {at}{' in half' * half}" if status is None
                    else f"exit {status}")
        if status is not None:
            break
        kills += 1
    if status != 0:
        return kills, f"{told}: cannot be finished"
    found = results(run)
    wrong = [name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name)]
    return kills, f"{told}: {', '.join(wrong)} differ" if wrong else ""


def kill_often(kills: int, seed: int) -> tuple[int, list[str]]:
    """At least so many kills; returns their number and what went wrong."""
    chance, done, wrong = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as place:
        words = options(Path(place), **SIZES)
        whole = Path(place) / "whole" / "run"
        assert live(["train", *words, "--out", str(whole)], whole, 1 << 60, False) == 0
        expected, operations, number = results(whole), count(words, Path(place) / "counted" / "run"), 0
        while done < kills:
            number += 1
            more, problem = one_run(Path(place) / str(number), words, expected, chance, operations)
            done += more
            wrong += [problem] if problem else []
    return done, wrong


def count(words: list[str], run: Path) -> int:
    """How many file operations a run has: the first number at which it is not killed, by doubling and
    halving.
    """
    low, high, trial = 1, 2, 0
    def killed(at: int) -> bool:
        nonlocal trial
        trial += 1
        return live(["train", *words, "--out", f"{run}{trial}"], run.parent, at, False) is None
    while killed(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if killed(middle) else (low, middle)
    return high


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = parser.parse_args()
    killed, problems = kill_often(asked.kills, asked.seed)
    print(f"seed {asked.seed}: {killed} kills, {len(problems)} runs that were not as if never killed",
          *problems, sep="\n")
    sys.exit(bool(problems))
