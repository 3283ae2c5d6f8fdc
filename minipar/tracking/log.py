"""Reads the log of a run, metrics.jsonl, into arrays. Every line must be a record of the schema."""

# S: number of training steps in the log, V: number of validations

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minipar.errors import CheckpointError
from minipar.training.log_schema import STEP, record_error
from minipar.training.run_folder import LONGEST_LINE, lines_of
from minipar.untrusted.files import MIB
from minipar.untrusted.plain import parse_json

LARGEST = 256 * MIB  # bytes of a log, about two million steps
COLUMNS = tuple(each.name for each in STEP if each.name != "step")


@dataclass
class RunLog:
    """Holds the log of a run. steps: int64 [S], increasing. columns: float64 [S] for each field of a step
    record, with NaN for a missing value and for null. validation_steps: int64 [V]. validations: float64 [V].
    """

    steps: np.ndarray
    columns: dict[str, np.ndarray]
    validation_steps: np.ndarray
    validations: np.ndarray


@dataclass
class _Growing:
    """Holds the records that have been read so far, in compact arrays that can grow."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    columns: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in COLUMNS})
    validation_steps: array[int] = field(default_factory=lambda: array("q"))
    validations: array[float] = field(default_factory=lambda: array("d"))

    def add(self, record: dict[str, Any]) -> str:
        """Add a record. Returns the reason why it cannot follow the previous records, or ""."""
        step = record["step"]
        steps = self.steps if "loss" in record else self.validation_steps
        if steps and step <= steps[-1]:
            return f"step {step} follows step {steps[-1]}"
        steps.append(step)
        if "validation" in record:
            self.validations.append(record["validation"])
            return ""
        for name, column in self.columns.items():
            value = record.get(name)
            column.append(float("nan") if value is None else value)
        return ""


def read_log(path: Path) -> RunLog:
    """Returns the log in the file, or a log without records if the file does not exist.

    An incomplete last line is left out, because a training run may be writing it, or may have been killed
    while it wrote. Raises CheckpointError for any other line that is not a record, and for a file that is not
    regular or has more than LARGEST bytes.
    """
    read = _Growing()
    for number, line in enumerate(lines_of(path, LARGEST), 1):
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            break
        if reason := _reason(line, read):
            raise CheckpointError(f"{path}, line {number}: not a record of a training: {reason}; repair or "
                                  "remove the line")
    return RunLog(np.array(read.steps, np.int64),
                  {name: np.array(column, np.float64) for name, column in read.columns.items()},
                  np.array(read.validation_steps, np.int64), np.array(read.validations, np.float64))


def _reason(line: bytes, read: _Growing) -> str:
    """Adds the line to `read`. Returns the reason why the line is not valid, or ""."""
    if not line.endswith(b"\n"):
        return f"it has more than {LONGEST_LINE:,} bytes"
    try:
        values = parse_json(line, "it", CheckpointError)
    except CheckpointError as error:
        return str(error)
    return record_error(values) or read.add(values)
