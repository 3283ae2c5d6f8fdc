"""Compares two runs: the fields of their configs that differ, the steps at which their losses differ, and
their final figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minipar.tracking.run import TrackedRun

TOLERANCES = (1e-12, 1e-6, 1e-3, 1e-1)  # relative differences of two losses


@dataclass(frozen=True)
class LossDifference:
    """Holds the losses of runs A and B in one training step. relative: |a - b| / max(|a|, |b|), 0 if both are
    0.
    """

    step: int
    a: float
    b: float
    relative: float


@dataclass(frozen=True)
class RunComparison:
    """Holds the comparison of runs A and B.

    config: field -> its values in A and in B, for each field that differs, such as "train.lr". common_steps:
    the number of steps that both logs have. first: the first common step whose losses differ in a bit, or
    None. largest: the common step with the largest relative difference, or None. beyond: tolerance -> the
    first step with a larger relative difference, or None. figures: name -> the figures of A and of B.
    """

    config: dict[str, tuple[Any, Any]]
    common_steps: int
    first: LossDifference | None
    largest: LossDifference | None
    beyond: dict[float, int | None]
    figures: dict[str, tuple[float | None, float | None]]


def compare_runs(a: TrackedRun, b: TrackedRun) -> RunComparison:
    """Compare two runs. Their losses are compared step by step, over the steps that both logs have."""
    steps, in_a, in_b = np.intersect1d(a.log.steps, b.log.steps, assume_unique=True, return_indices=True)
    one, other = a.log.columns["loss"][in_a], b.log.columns["loss"][in_b]       # [steps]
    largest = np.maximum(abs(one), abs(other))
    # half of each loss, because the difference of two huge losses may be larger than the largest float
    relative = 2 * (abs(one / 2 - other / 2) / np.where(largest > 0, largest, 1))

    def at(index: int | None) -> LossDifference | None:
        return None if index is None else LossDifference(int(steps[index]), float(one[index]),
                                                         float(other[index]), float(relative[index]))

    apart = _first(one.view(np.int64) != other.view(np.int64))
    beyond = {tolerance: _first(relative > tolerance) for tolerance in TOLERANCES}
    figures_a, figures_b = a.figures(), b.figures()
    return RunComparison(dict(_differences(a.config, b.config)), len(steps), at(apart),
                         at(None if apart is None else int(relative.argmax())),
                         {tolerance: None if index is None else int(steps[index])
                          for tolerance, index in beyond.items()},
                         {name: (value, figures_b[name]) for name, value in figures_a.items()})


def _first(found: np.ndarray) -> int | None:
    """Returns the first index at which the array is True, or None."""
    return int(found.argmax()) if found.any() else None


def _differences(a: Mapping[str, Mapping[str, Any]],
                 b: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for group, values in a.items():
        for name, value in values.items():
            if value != b[group][name]:
                yield f"{group}.{name}", (value, b[group][name])
