"""Writes a run as an event file for TensorBoard, with the curves of its log and the histograms of its last
weights.
"""

# S: number of training steps in the log

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minipar.checkpoint.atomic import refusals_named, replacing
from minipar.errors import ConfigError
from minipar.tracking.event_file import EventFile
from minipar.tracking.log import RunLog
from minipar.tracking.run import TrackedRun
from minipar.training.run_folder import RunFolder

# TensorBoard recognises an event file by ".tfevents." in its name.
FILE = "events.out.tfevents.0000000000.minipar"
# Tag in TensorBoard -> column of the log. Tags with the same first part share a section of the page.
TAGS = {"loss/training": "loss", "gradient/norm": "norm", "gradient/loss_scale": "loss_scale",
        "gradient/skipped": "skipped", "step/lr": "lr", "step/seconds": "seconds", "step/tokens": "tokens"}
VALIDATION = "loss/validation"


def names_of(runs: Sequence[TrackedRun]) -> list[str]:
    """Returns the name of each run in TensorBoard: the name of its folder. Raises ConfigError for equal
    names.
    """
    names = [run.folder.resolve().name or "run" for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{names.count(name)} runs have a folder called {name}; export them into "
                              "different folders")
    return names


def export(run: TrackedRun, name: str, folder: Path) -> dict[str, int]:
    """Write the run's event file into the subfolder `name` of TensorBoard's folder. An older event
    file is replaced.

    Returns the number of points per tag. Raises CheckpointError if the file cannot be written, or if the
    run's last checkpoint is damaged.
    """
    path = folder / name / FILE
    start = _start(run)
    weights = _weights(run)
    with refusals_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        events = EventFile(file, start)
        points = _scalars(events, run.log, start)
        for step, arrays in weights:
            events.histograms(start + float(np.nansum(run.log.columns["seconds"])), step, arrays)
            points |= {tag: 1 for tag in arrays}
    return points


def _start(run: TrackedRun) -> float:
    """Returns an estimate of the wall-clock time at which the run began: the time of the last write to its
    log, minus the seconds of all steps.
    """
    try:
        ended = os.stat(run.folder / "metrics.jsonl").st_mtime
    except OSError:
        ended = 0.0
    return max(0.0, ended - float(np.nansum(run.log.columns["seconds"])))


def _scalars(events: EventFile, log: RunLog, start: float) -> dict[str, int]:
    """Write every number of the log, in the order of the steps. Returns the number of points per tag."""
    ends = start + np.nancumsum(log.columns["seconds"])             # [S], the end of each step
    validations = dict(zip(log.validation_steps.tolist(), log.validations.tolist(), strict=True))
    rows = {step: row for row, step in enumerate(log.steps.tolist())}
    time, points = start, dict[str, int]()
    for step in sorted(rows.keys() | validations.keys()):
        values = {}
        if step in rows:
            time = float(ends[rows[step]])
            row = {tag: float(log.columns[column][rows[step]]) for tag, column in TAGS.items()}
            values = {tag: value for tag, value in row.items() if not math.isnan(value)}
        if step in validations:
            values[VALIDATION] = validations[step]
        events.scalars(time, step, values)
        for tag in values:
            points[tag] = points.get(tag, 0) + 1
    return points


def _weights(run: TrackedRun) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Returns the step and the weights (by tag) of the last checkpoint, or [] for a run without
    checkpoints.
    """
    folder = RunFolder(run.folder, writes=False)
    if folder.checkpoints.latest() is None:
        return []
    _, arrays, meta = folder.latest()
    return [(int(meta["done"]), {name: array for name, array in arrays.items()
                                 if name.startswith("weights/") and array.size})]
