"""Results of any type and shape, in every exercise: there is a verdict, with a diagnosis of one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.exercises.catalogue import every
from minipar.exercises.exercise import Exercise
from minipar.exercises.lights import verdict
from minipar.exercises.tasks import CallResult, RankResult, graded_calls
from minipar.exercises.wire import Opaque

SEED, ROUNDS = 7, 4
ANYTHING = (None, "", "a\nb\n", 0, -1, 2.5, True, 10**40, (), [], {}, {"x": None}, [[1, 2], [3]],
            Opaque("ndarray"), Opaque("set"), np.zeros(0), np.zeros((2, 0)), np.full(3, np.nan),
            np.float32(1), np.array(True), np.zeros((2, 3, 4)), np.arange(3))


def spoilt(value: Any, random: np.random.Generator) -> Any:
    """A value of the same form with a mistake somewhere, or of another form."""
    kind = random.integers(4)
    if kind == 0:
        return ANYTHING[random.integers(len(ANYTHING))]
    if isinstance(value, dict) and value:
        return {name: spoilt(one, random) if random.random() < 0.5 else one for name, one in value.items()}
    if isinstance(value, list | tuple) and value:
        return type(value)(spoilt(one, random) if random.random() < 0.5 else one for one in value)
    if isinstance(value, np.ndarray | float | np.floating) and np.asarray(value).dtype.kind == "f":
        changed = np.array(value)
        if kind == 1 and changed.size:
            changed = changed.reshape(-1)
            changed[random.integers(changed.size)] = random.choice([np.nan, np.inf, 0.0, 1e30])
            changed = changed.reshape(np.shape(value))
        return [changed, -changed, changed + random.standard_normal(changed.shape),
                changed[..., None] if changed.ndim else changed,
                changed[:0] if changed.ndim else changed][random.integers(5)]
    return f"{value}\n" if isinstance(value, str) else value


@pytest.mark.parametrize("exercise", every(), ids=lambda exercise: exercise.name)
def test_every_result_has_a_verdict(exercise: Exercise) -> None:
    random = np.random.default_rng([SEED, sum(exercise.name.encode())])
    ranks = [size for size in exercise.ranks if size in (1, 2, 3)]
    calls = [call for call in graded_calls(exercise, SEED, ranks) if call.plain]
    for _ in range(ROUNDS):
        results = []
        for call in calls:
            right = (
                exercise.reference(call.ranks, call.arguments) if exercise.reference else [None] * call.ranks
            )
            results.append(CallResult(call, [RankResult(spoilt(one, random)) for one in right]))
        found = verdict(exercise, "x = 1\n", results)
        for light in found.lights:
            assert (
                "\n" not in light.diagnosis
                and "\n" not in light.advice
                and (light.diagnosis or light.state != "off")
            ), light
