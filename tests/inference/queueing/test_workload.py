"""Arrivals and lengths have the distributions that they should; times are summarised by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.inference.queueing.latency import LatencyLimits, Percentiles, RequestTimes, percentiles, summary
from minipar.inference.queueing.workload import (
    DISTRIBUTIONS,
    TokenLengths,
    poisson_arrivals,
    request_stream,
)
from minipar.rng import stream
from tests.refusals import refused

COUNT = 20_000


def test_gaps_are_exponential() -> None:
    """Their mean and deviation are 1 / rate, and P(gap > t) = exp(-rate t)."""
    gaps = np.diff(poisson_arrivals(4.0, COUNT, stream(0, "gaps")))
    assert gaps.mean() == pytest.approx(0.25, rel=0.03) and gaps.std() == pytest.approx(0.25, rel=0.03)
    for t in (0.1, 0.5, 1.0):
        assert (gaps > t).mean() == pytest.approx(
            math.exp(-4 * t), abs=4 * math.sqrt(math.exp(-4 * t) / COUNT)
        )
    assert not poisson_arrivals(math.inf, 5, stream(0, "gaps")).any()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_lengths_have_their_mean_and_limits(distribution: str) -> None:
    lengths = TokenLengths(distribution, 50, 5000).draw(stream(0, "lengths"), COUNT)
    assert lengths.mean() == pytest.approx(50, rel=0.03) and lengths.min() >= 1
    deviation = {"fixed": 0, "uniform": 99 / math.sqrt(12), "geometric": math.sqrt(50 * 49),
                 "lognormal": 50 * math.sqrt(math.e - 1)}[distribution]
    assert lengths.std() == pytest.approx(deviation, rel=0.1)
    assert TokenLengths(distribution, 50, 60).draw(stream(0, "lengths"), 1000).max() <= 60
    assert set(TokenLengths(distribution, 1, 1).draw(stream(0, "lengths"), 9).tolist()) == {1}


def test_prompts_share_their_beginning() -> None:
    lengths = TokenLengths("uniform", 20, 40)
    requests = [
        one.request for one in request_stream(1.0, 30, lengths, lengths, vocabulary=9, seed=2, shared=8)
    ]
    longest = max((request.prompt for request in requests), key=len)
    assert all(request.prompt[:8] == longest[: min(8, len(request.prompt))] for request in requests)
    assert len({tuple(request.prompt[8:16]) for request in requests if len(request.prompt) > 16}) > 5
    assert all(0 <= token < 9 for request in requests for token in request.prompt)


def test_a_summary_by_hand() -> None:
    times = [RequestTimes(1.0, (2.0, 2.5, 4.0)), RequestTimes(3.0, (5.0,)), RequestTimes(0.0, (0.5, 5.0))]
    found = summary(times, LatencyLimits(first_token=1.0, between=1.0))
    assert found.requests == 3 and found.seconds == 5.0
    assert found.first_token == pytest.approx(Percentiles(1.0, 1.9, 1.98))
    assert found.between.median == 1.5 and found.latency.median == 3.0
    assert (found.tokens_per_second, found.requests_per_second) == (6 / 5, 3 / 5)
    assert found.goodput == 1 / 5                                   # the second is late, the third slow


def test_limits_hold_exactly() -> None:
    limits = LatencyLimits(first_token=1.0, between=0.5)
    assert limits.met_by(RequestTimes(0.0, (1.0,))) and limits.met_by(RequestTimes(0.0, (1.0, 1.5)))
    assert limits.met_by(RequestTimes(0.0, (0.5, 1.25, 1.5)))       # the mean counts
    assert not limits.met_by(RequestTimes(0.0, (1.25,))) and not limits.met_by(RequestTimes(0.0, (1.0, 1.75)))


def test_no_values_have_no_percentiles() -> None:
    assert all(map(math.isnan, percentiles([])))


@pytest.mark.parametrize("values, item", [
    (dict(distribution="normal"), "distribution"), (dict(mean=0), "mean"), (dict(mean=9, most=8), "mean"),
    (dict(mean=1.5), "mean"), (dict(most=1 << 40), "most"), (dict(most=True), "most")])
def test_invalid_lengths(values: dict[str, Any], item: str) -> None:
    with refused(ConfigError, item=item):
        TokenLengths(**values)


def test_too_many_tokens_in_all() -> None:
    lengths = TokenLengths("fixed", 1 << 20, 1 << 20)
    with refused(ConfigError, item="requests"):
        request_stream(1.0, 17, lengths, lengths, vocabulary=11)


def test_invalid_values() -> None:
    for rate in (0.0, -1.0, math.nan):
        with refused(ConfigError, item="rate"):
            poisson_arrivals(rate, 3, stream(0, "gaps"))
    for count in (0, -1, 10**9):
        with refused(ConfigError, item="requests"):
            poisson_arrivals(1.0, count, stream(0, "gaps"))
    with refused(ConfigError, item="requests"):
        summary([], LatencyLimits())
    for name in ("first_token", "between"):
        for value in (0.0, -1.0, math.nan):
            with refused(ConfigError, item=name):
                LatencyLimits(**{name: value})
