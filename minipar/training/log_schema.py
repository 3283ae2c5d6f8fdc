"""Defines the fields of metrics.jsonl, the log of a run, with their types and units.

The log has the format JSON lines. Each line is one object, called a record. Each training step and each
validation writes one record. LOG.md shows the tables below, and a test compares both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from minipar.errors import shown
from minipar.records import is_number, is_whole

LARGEST_WHOLE = 2**53  # smaller whole numbers are exact in the JSON readers of all languages


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


# type of a field -> a test of its values
TYPES: dict[str, Callable[[Any], bool]] = {
    "whole number": lambda value: is_whole(value) and 0 <= value < LARGEST_WHOLE,
    "number": _is_finite,
    "number from 0 on": lambda value: _is_finite(value) and value >= 0,
    "number from 0 to 1e9": lambda value: _is_finite(value) and 0 <= value <= 1e9,
    "number from 0 on, or null": lambda value: value is None or _is_finite(value) and value >= 0,
    "true or false": lambda value: isinstance(value, bool),
}


class LogField(NamedTuple):
    """Describes a field of a record. `kind` is a key of TYPES. `written` is "always", or the condition for
    the field.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    written: str = "always"


STEP = (
    LogField("step", "whole number", "steps", "index of the training step; the first step has index 0"),
    LogField("loss", "number", "nats per token", "training loss: mean over the targets of the global batch"),
    LogField("norm", "number from 0 on, or null", "nats per token",
             "norm of the whole gradient before clipping; null if the step was skipped"),
    LogField("lr", "number from 0 on", "1", "learning rate of the step"),
    LogField("seconds", "number from 0 to 1e9", "s", "wall-clock time of the step on rank 0"),
    LogField("tokens", "whole number", "tokens", "tokens of the global batch, with padding"),
    LogField("loss_scale", "number from 0 on", "1", "loss scale of the step", "with float16"),
    LogField("skipped", "true or false", "", "the scaled gradient overflowed, so no weight was changed",
             "with float16"),
)
VALIDATION = (
    LogField("step", "whole number", "steps", "index of the last training step before the validation"),
    LogField("validation", "number", "nats per token", "mean loss over the validation windows"),
)
RECORDS = {"loss": STEP, "validation": VALIDATION}                  # required field -> all fields


def record_error(values: object) -> str:
    """Returns the reason why `values`, one line of a log, is not a record. Returns "" for a record.

    Only "step" and one of "loss" and "validation" are required. Other fields may be missing, as in the log of
    another version, but no field may be unknown.

    >>> record_error({"step": 3, "loss": 2.5})
    ''
    >>> record_error({"step": 3, "loss": "low"})
    "loss is 'low'; it must be a number"
    """
    if not isinstance(values, dict):
        return f"{shown(values)} is not a JSON object"
    kinds = [name for name in RECORDS if name in values]
    if "step" not in values or len(kinds) != 1:
        return "it must have step, and either loss or validation"
    fields = {field.name: field for field in RECORDS[kinds[0]]}
    for name, value in values.items():
        if name not in fields:
            return f"it has the unknown field {shown(name)}"
        if not TYPES[fields[name].kind](value):
            return f"{name} is {shown(value)}; it must be a {fields[name].kind}"
    return ""


def is_complete(values: Mapping[str, Any], precision: str) -> bool:
    """Returns True if a record has exactly the fields that a training run with this precision writes."""
    fields = RECORDS["loss" if "loss" in values else "validation"]
    return values.keys() == {field.name for field in fields
                             if field.written == "always" or precision == "float16"}


def table(fields: Sequence[LogField]) -> list[str]:
    """Returns the lines of a Markdown table of the fields."""
    rows = [(f"`{name}`", kind, unit, written, meaning) for name, kind, unit, meaning, written in fields]
    return ["| field | type | unit | written | meaning |", "|---|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows)]
