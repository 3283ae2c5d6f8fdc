"""Elastic trainings of real processes: how to start, watch and kill them, and what must hold afterwards."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.cli.elastic_requests import STATE
from minipar.training.run_folder import read_metrics
from tests.commands import command
from tests.tiny import options

STEPS = 150


def words(folder: Path) -> list[str]:
    return [*options(folder, steps=STEPS, gradients="bitwise"), "--save-every", "30", "--validate-every",
            "40"]


def started(folder: Path, *more: object) -> subprocess.Popen:
    return subprocess.Popen(command("train", "--elastic", *words(folder), "--out", folder / "run", *more),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def memory_of(run: Path) -> Path:
    """The supervisor's memory. Raises FileNotFoundError if no supervisor has started."""
    return Path(json.loads((run / STATE).read_text())["memory"])


def wait_for(holds: Callable[[], object], job: subprocess.Popen) -> None:
    for _ in range(4500):
        try:
            if holds():
                return
        except (FileNotFoundError, ValueError):
            pass
        assert job.poll() is None, job.stdout.read() if job.stdout else "it has ended"
        time.sleep(0.04)
    raise AssertionError("it did not come in three minutes")


def pid_of(memory: Path, rank: int) -> int:
    return int((memory / f"rank-{rank}.pid").read_text())


def newest(memory: Path) -> int:
    path = Checkpoints(memory / "replicas").latest()
    return int(path.stem.removeprefix("step-")) if path else -1


def difference(run: Path, undisturbed: Path, tolerance: float = 0.0) -> str:
    """What differs from a run that nothing disturbed: weights, the optimiser's state, or the metrics; "" if
    nothing.

    tolerance: of weights and losses, absolute; 0: every bit.
    """
    paths = [Checkpoints(each / "checkpoints").latest() for each in (run, undisturbed)]
    if None in paths:
        return "there is no checkpoint"
    (arrays, meta), (expected, wanted) = (load(path) for path in paths if path)
    if meta["done"] != wanted["done"] or meta["optimizer_steps"] != wanted["optimizer_steps"]:
        return f"it has done {meta['done']} steps"
    far = [name for name, array in arrays.items() if not abs(array - expected[name]).max() <= tolerance]
    if far or arrays.keys() != expected.keys():
        return f"other values: {far[:3]}"
    lines, wanted_lines = (
        [(line["step"], line["loss"]) for line in read_metrics(each / "metrics.jsonl") if "loss" in line]
        for each in (run, undisturbed)
    )
    if [step for step, _ in lines] != [step for step, _ in wanted_lines]:
        return f"steps {[step for step, _ in lines]} are in the metrics"
    if any(abs(one - other) > tolerance for (_, one), (_, other) in zip(lines, wanted_lines, strict=True)):
        return "other losses"
    return f"{STATE} was left" if (run / STATE).exists() else ""
