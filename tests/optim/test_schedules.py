"""Learning rates at the corners of every schedule, exactly."""

import math

import pytest

from minipar.optim import constant, cosine, warm_up


def test_constant() -> None:
    assert [constant(0.3)(step) for step in (0, 1, 10**9)] == [0.3] * 3


def test_cosine_at_its_corners() -> None:
    rate = cosine(1.0, 0.1, 100)
    assert rate(0) == 1
    assert rate(50) == pytest.approx(0.55, rel=1e-15)
    assert rate(25) == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2, rel=1e-15)
    assert rate(100) == rate(101) == rate(10**9) == 0.1
    rates = [rate(step) for step in range(101)]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 101
    assert cosine(1.0, 0.1, 0)(0) == 1 and cosine(1.0, 0.1, 0)(1) == 0.1


def test_warm_up_rises_in_equal_steps_to_the_first_rate() -> None:
    rate = warm_up(constant(1.0), 4)
    assert [rate(step) for step in range(7)] == [0.2, 0.4, 0.6, 0.8, 1, 1, 1]
    assert [warm_up(constant(0.5), 0)(step) for step in (0, 1)] == [0.5, 0.5]


def test_the_schedule_starts_when_the_warm_up_ends() -> None:
    decay = cosine(0.6, 0.1, 10)
    rate = warm_up(decay, 5)
    assert [rate(step) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert [rate(5 + step) for step in range(20)] == [decay(step) for step in range(20)]
