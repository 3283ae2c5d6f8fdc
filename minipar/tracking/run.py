"""Reads a run of `minipar train` from its folder, and finds all runs below a folder."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minipar.checkpoint.claim import is_claimed
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import CheckpointError, MiniparError
from minipar.records import record_from
from minipar.tracking.log import RunLog, read_log
from minipar.untrusted.files import MIB, read_bytes
from minipar.untrusted.plain import parse_json

DEPTH, MOST_FOLDERS = 3, 10_000  # limits of the search for runs
RECORDS: dict[str, type] = {"model": ModelConfig, "train": TrainConfig, "layout": Layout}


@dataclass(frozen=True)
class TrackedRun:
    """Describes a run. state: "finished", "running" (a process has locked the folder) or "stopped". config:
    the fields of its ModelConfig, TrainConfig and Layout, by the keys of RECORDS.
    """

    folder: Path
    state: str
    config: dict[str, dict[str, Any]]
    log: RunLog

    @property
    def layout(self) -> Layout:
        return Layout(**self.config["layout"])

    def figures(self) -> dict[str, float | None]:
        """Returns the numbers that summarise the run. A number that the log does not have is None.

        steps: completed steps. loss: the loss of the last step, in nats per token. best_loss: the lowest loss
        of a step. validation: the last validation loss. best_validation: the lowest validation loss. seconds
        and tokens: the sums over all steps.
        """
        log, columns = self.log, self.log.columns
        losses = columns["loss"]
        return {"steps": int(log.steps[-1]) + 1 if len(log.steps) else 0,
                "loss": _or_none(losses[-1:].sum(), len(losses)),
                "best_loss": _or_none(losses.min(initial=math.inf), len(losses)),
                "validation": _or_none(log.validations[-1:].sum(), len(log.validations)),
                "best_validation": _or_none(log.validations.min(initial=math.inf), len(log.validations)),
                "seconds": _or_none(columns["seconds"].sum(), len(losses)),
                "tokens": _or_none(columns["tokens"].sum(), len(losses))}


def _or_none(value: np.floating[Any], count: int) -> float | None:
    return float(value) if count and math.isfinite(value) else None


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Returns True if the folder has a log, or a config and checkpoints, as `minipar train` writes them."""
    inside = (os.path.join(folder, name) for name in ("metrics.jsonl", "config.json", "checkpoints"))
    log, config, checkpoints = map(os.path.exists, inside)
    return log or config and checkpoints


def read_run(folder: str | os.PathLike[str]) -> TrackedRun:
    """Returns the run in the folder. Raises CheckpointError if there is no run, or if its config or log is
    damaged.
    """
    path = Path(folder)
    if not is_run(folder):
        state = "is not a folder" if not os.path.isdir(folder) else "holds no run"
        raise CheckpointError(f"{path} {state}; give the folder of a run, as minipar train --out writes it")
    config, log = _config(path / "config.json"), read_log(path / "metrics.jsonl")
    if os.path.isfile(path / "summary.txt"):
        return TrackedRun(path, "finished", config, log)
    return TrackedRun(path, "running" if is_claimed(path) else "stopped", config, log)


def _config(path: Path) -> dict[str, dict[str, Any]]:
    try:
        values = parse_json(read_bytes(path, MIB, CheckpointError), path, CheckpointError)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}; a run has a config.json") from error
    if not isinstance(values, dict) or not RECORDS.keys() <= values.keys():
        raise CheckpointError(f"{path} is not the config of a run: it must have {', '.join(RECORDS)}")
    try:
        return {name: asdict(record_from(kind, _tuples(values[name]), name))
                for name, kind in RECORDS.items()}
    except MiniparError as error:
        raise CheckpointError(f"{path} is not a config that minipar wrote: {error}") from error


def _tuples(values: Any) -> Any:
    """Replaces lists by tuples, because JSON has no tuples."""
    if not isinstance(values, dict):
        return values
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def find_runs(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the folder itself if it holds a run. Otherwise returns the runs in it, down to DEPTH levels,
    sorted by path.

    Raises CheckpointError if there is no run, or if more than MOST_FOLDERS folders would be searched.
    """
    if not os.path.isdir(folder):
        raise CheckpointError(f"{Path(folder)} is not a folder; give the folder of a run, or one with runs")
    found = []
    for number, path in enumerate(_candidates(Path(folder))):
        if number >= MOST_FOLDERS:
            raise CheckpointError(f"{Path(folder)} has more than {MOST_FOLDERS:,} folders; give a smaller "
                                  "one")
        if is_run(path):
            found.append(path)
    if not found:
        raise CheckpointError(f"{Path(folder)} holds no run; train one with: minipar train --out FOLDER")
    return sorted(found)


def _candidates(folder: Path) -> Iterator[Path]:
    """Yields the folder and its readable subfolders, level by level, down to DEPTH levels. Subfolders of a
    run are left out. Links are followed, and each folder is yielded once.
    """
    level, seen = [folder], set[str]()
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for path in level:
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            yield path
            if not is_run(path):
                below += _subfolders(path)[:MOST_FOLDERS - len(below)]
        level = below


def _subfolders(folder: Path) -> list[Path]:
    """Returns at most MOST_FOLDERS subfolders, and [] if the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in islice(entries, MOST_FOLDERS) if entry.is_dir())
    except OSError:
        return []
