"""Young's interval, Daly's expected time, and a simulation with random failures agree."""

import math

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.plan.checkpoint_interval import (
    expected_seconds,
    mean_simulated_seconds,
    simulated_seconds,
    young_interval,
)

CASE = {"work": 20_000.0, "save": 5.0, "restart": 20.0, "between_failures": 1000.0}


@pytest.mark.parametrize("interval", [20.0, 100.0, 500.0])
def test_the_formula_is_the_mean_of_the_simulation(interval: float) -> None:
    assert mean_simulated_seconds(interval=interval, runs=300, **CASE) == pytest.approx(
        expected_seconds(interval=interval, **CASE), rel=0.03)


def test_young_is_near_the_minimum() -> None:
    best = young_interval(CASE["save"], CASE["between_failures"])
    assert best == 100
    intervals = np.geomspace(10, 1000, 400)
    seconds = [expected_seconds(interval=float(interval), **CASE) for interval in intervals]
    assert abs(intervals[int(np.argmin(seconds))] / best - 1) < 0.05
    assert expected_seconds(interval=best, **CASE) < 1.001 * min(seconds)


def test_without_failures_only_the_saves_cost() -> None:
    assert simulated_seconds(100, 10, 1, 5, 1e15) == pytest.approx(110)
    assert expected_seconds(100, 10, 1, 5, 1e15) == pytest.approx(110, rel=0.1)


@pytest.mark.parametrize("values", [{"work": 0}, {"interval": -1}, {"between_failures": math.inf}])
def test_seconds_that_cannot_be(values: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        expected_seconds(**{**CASE, "interval": 10.0, **values})
