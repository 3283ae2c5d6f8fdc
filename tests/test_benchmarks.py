"""The benchmarks measure what they say: all products are there, and every variant of a step is the same step."""

import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest

import minipar
from minipar.config import ModelConfig
from minipar.nn import counts

sys.path.insert(0, str(Path(minipar.__file__).parents[1] / "benchmarks"))       # a folder of scripts, no package

import products  # noqa: E402
import step  # noqa: E402
import tricks  # noqa: E402
import turns  # noqa: E402

TINY = ModelConfig(vocabulary=11, context=70, layers=2, heads=2, width=8)
TASK = TINY, 3, "float64"


def test_bare_products_are_those_of_a_step() -> None:
    flops = sum(2 * call.keywords["out"].size * call.args[0].shape[-1] for call in products.bare_products(*TASK))
    assert flops == sum(counts.training_flops(TINY, 3, TINY.context).values())


@pytest.mark.parametrize("trick", tricks.WITHOUT)
def test_a_step_without_a_trick_is_the_same_step(trick: str) -> None:
    with_all, without = step.minipar_step(*TASK), tricks.step_without(tricks.WITHOUT[trick], *TASK)
    losses = [(with_all(), without()) for _ in range(4)]
    assert losses[3][0] < losses[0][0]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-10)


def test_the_plain_forms_leave_no_trace() -> None:
    before = step.minipar_step(*TASK)()
    step.plain_forms()(step.minipar_step(*TASK))()
    assert step.minipar_step(*TASK)() == before


def test_ratios_compare_neighbours_in_a_round() -> None:
    """The machine gets ten times slower half-way: times do, ratios do not."""
    slow = [1.0] * 5 + [10.0] * 5
    runs = [{"a": [3 * t for t in slow], "b": slow}, {"a": [2 * t for t in slow], "b": slow}]
    assert turns.ratios(runs, "a", "b") == [2.0, 3.0]
    assert turns.milliseconds(runs, "b") == 1e3 * median(slow)


def test_measure_drops_the_warm_up() -> None:
    calls: list[str] = []
    times = turns.measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=4, warm_up=2)
    assert calls == ["a", "b"] * 6
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 4, "b": 4}
