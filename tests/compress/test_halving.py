"""Successive halving for two objectives, against brute force: on random points, and on a GPT that is
compressed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from minipar.autograd import no_grad
from minipar.compress import prune, quantize
from minipar.compress.distill.student import matching_layers, take_layers
from minipar.compress.halving import Measured, gaps, pareto_front, successive_halving
from minipar.compress.tune import fine_tune
from minipar.config import ModelConfig
from minipar.errors import ConfigError, RangeError
from minipar.nn import GPT
from minipar.optim import AdamW, Flat
from minipar.rng import stream
from tests.refusals import refused

Points = list[Measured[int]]


def dominated(one: Measured[Any], by: Measured[Any]) -> bool:
    return by.size <= one.size and by.loss <= one.loss and by[1:] != one[1:]


def front_of_all_pairs(points: list[Measured[Any]]) -> set[tuple[float, float]]:
    return {one[1:] for one in points if not any(dominated(one, other) for other in points)}


def random_points(seed: int) -> Points:
    """Up to 40 points; small whole numbers give many that are equal in size, in loss, or in both."""
    draw = stream(seed, "points")
    count, most = int(draw.integers(1, 40)), int(draw.choice([3, 10, 1000]))
    return [Measured(number, float(size), float(loss))
            for number, (size, loss) in enumerate(draw.integers(0, most, (count, 2)))]


@pytest.mark.parametrize("seed", range(40))
def test_the_front_is_that_of_all_pairs(seed: int) -> None:
    points = random_points(seed)
    front = pareto_front(points)
    assert {one[1:] for one in front} == front_of_all_pairs(points)
    assert len(front) == len({one[1:] for one in front}) and front == sorted(front, key=lambda one: one.size)
    for point, gap in zip(points, gaps(points), strict=True):
        assert gap == point.loss - min(other.loss for other in points if other.size <= point.size)


@pytest.mark.parametrize("seed", range(40))
def test_halving_finds_the_front_if_budgets_agree(seed: int) -> None:
    """If a larger budget changes no order, a candidate of the front is never dropped, for any fraction."""
    points = random_points(seed)

    def measure(number: int, budget: int) -> tuple[float, float]:
        return points[number].size, points[number].loss + 1 / budget

    found = successive_halving(range(len(points)), measure, [1, 2, 8], keep=[0.1, 0.5, 0.9][seed % 3])
    assert {points[one.candidate][1:] for one in found.front} == front_of_all_pairs(points)
    assert found.brute_force == 8 * len(points)
    assert found.cost == sum(budget * len(each) for budget, each in zip((1, 2, 8), found.rounds, strict=True))


def test_the_worst_half_is_dropped_and_the_front_stays() -> None:
    """Eight candidates: two on the front, the others above it by 1 to 6."""
    losses = {0: 5.0, 1: 1.0, **{number: float(number) for number in range(2, 8)}}
    asked: list[tuple[int, int]] = []

    def measure(number: int, budget: int) -> tuple[float, float]:
        asked.append((number, budget))
        return float(number), losses[number]

    found = successive_halving(range(8), measure, [1, 4, 16])
    assert [[one.candidate for one in each] for each in found.rounds] == [
        list(range(8)),
        [0, 1, 2, 3],
        [0, 1],
    ]
    assert found.cost == 8 + 4 * 4 + 2 * 16 < found.brute_force == 128 and len(asked) == 14
    assert [one.candidate for one in found.front] == [0, 1]


def test_a_small_budget_may_mislead_and_a_larger_fraction_helps() -> None:
    """Candidate 3 is best, but a budget of 1 shows it far above the front."""
    def measure(number: int, budget: int) -> tuple[float, float]:
        return float(number), 9 - number + (5.0 if number == 3 and budget == 1 else 0)

    assert 3 not in [one.candidate for one in successive_halving(range(4), measure, [1, 4], keep=0.5).front]
    assert 3 in [one.candidate for one in successive_halving(range(4), measure, [1, 4], keep=0.99).front]


@pytest.mark.parametrize("change, item", [
    (dict(candidates=[]), "candidates"), (dict(budgets=[]), "budgets"), (dict(budgets=[4, 2]), "budgets"),
    (dict(budgets=[0, 2]), "budgets"), (dict(budgets=[1, 1]), "budgets"), (dict(budgets=[1.5, 2]), "budgets"),
    (dict(keep=0), "keep"), (dict(keep=1), "keep"), (dict(keep=math.nan), "keep"),
    (dict(keep="half"), "keep")])
def test_what_cannot_be_searched(change: dict[str, Any], item: str) -> None:
    with refused(ConfigError, item=item):
        successive_halving(
            **{"candidates": [1], "measure": lambda *_: (1.0, 1.0), "budgets": [1, 2], **change}
        )


@pytest.mark.parametrize(
    "measured, item", [((math.nan, 1.0), "size"), ((1.0, math.inf), "loss"), ((1.0, "x"), "loss")]
)
def test_a_measurement_that_is_not_finite(measured: Any, item: str) -> None:
    with refused(RangeError, item=item):
        successive_halving(["a"], lambda *_: measured, [1])


def compressed_gpt(steps: int) -> tuple[list[tuple[int, float, int]], Callable[..., tuple[float, float]]]:
    """A trained GPT of two layers; the grid of layers x sparsity x bits; and its measurement, which
    fine-tunes.
    """
    tokens = stream(0, "tokens").integers(0, 8, 4000).cumsum() % 16  # the next token depends on the last one
    tokens[1::2] = tokens[0::2] * 3 % 16

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        at = stream(step, "batch").integers(0, 3900, 8)
        rows = np.stack([tokens[start:start + 17] for start in at])
        return rows[:, :-1], rows[:, 1:]

    model = GPT(ModelConfig(vocabulary=16, context=16, layers=2, heads=2, width=16), seed=0)
    fine_tune(model.loss, AdamW(Flat(model.parameters())), batch, steps, 5e-3)

    @cache
    def tuned(layers: int, sparsity: float, budget: int) -> GPT:
        twin = take_layers(model, matching_layers(layers, model.config.layers))
        mask = prune.magnitude_mask(prune.linear_weights(twin), sparsity)
        fine_tune(twin.loss, prune.Masked(AdamW(Flat(twin.parameters())), mask), batch, budget, 2e-3)
        return twin

    def measure(candidate: tuple[int, float, int], budget: int) -> tuple[float, float]:
        layers, sparsity, bits = candidate
        twin = GPT(tuned(layers, sparsity, budget).config)
        twin.load_state_dict(tuned(layers, sparsity, budget).state_dict())
        weights = sum(weight.size for weight in prune.linear_weights(twin).values())
        quantize.quantize_weights(twin, quantize.Scheme(bits=bits))
        with no_grad():
            losses = [twin.loss(*batch(10_000 + number)).item() for number in range(4)]
        return weights * (1 + bits * (1 - sparsity)) / 8, float(np.mean(losses))

    return list(product((1, 2), (0.0, 0.5, 0.9), (2, 4, 8))), measure


def test_the_front_of_a_compressed_gpt_is_that_of_brute_force() -> None:
    """Bits x sparsity x layers: 18 models, each fine-tuned; halving needs about half of the steps."""
    candidates, measure = compressed_gpt(steps=120)
    whole = [Measured(candidate, *measure(candidate, 24)) for candidate in candidates]
    found = successive_halving(candidates, measure, [3, 8, 24])
    assert {one[1:] for one in found.front} == front_of_all_pairs(whole)
    assert 2 < len(found.front) < len(candidates) and found.cost < found.brute_force
