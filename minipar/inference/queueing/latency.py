"""Defines the response times of a request, and their percentiles over many requests.

    arrived          first token      second      third = finished
       |------------------|-------------|-----------|
       time to first token   time between tokens

**Goodput** (Zhong et al. 2024, "DistServe") is the number of requests per second that meet two limits: one
for the time to first token, and one for the mean time between tokens. Throughput, in contrast, also counts
late tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minipar.errors import ConfigError


@dataclass(frozen=True)
class RequestTimes:
    """The times of one request, in seconds on one clock: its arrival and the arrival of each token.

    started: the time at which the computation of the request began, or None.
    """

    arrived: float
    tokens: tuple[float, ...]
    started: float | None = None

    @property
    def first_token(self) -> float:
        """The seconds from the arrival to the first token."""
        return self.tokens[0] - self.arrived

    @property
    def latency(self) -> float:
        """The seconds from the arrival to the last token."""
        return self.tokens[-1] - self.arrived

    @property
    def between(self) -> list[float]:
        """The seconds between neighbouring tokens. The list is empty for a single token."""
        return [after - before for before, after in pairwise(self.tokens)]


@dataclass(frozen=True)
class LatencyLimits:
    """The limits for goodput, in seconds. first_token: for the time to first token. between: for the mean
    time between the tokens of a request.
    """

    first_token: float = 1.0
    between: float = 0.1

    def __post_init__(self) -> None:
        for name in ("first_token", "between"):
            if not getattr(self, name) > 0:                         # NaN is refused, too
                raise ConfigError(f"the limit {name} is {getattr(self, name)} seconds; it must be positive",
                                  item=name)

    def met_by(self, times: RequestTimes) -> bool:
        writing = times.tokens[-1] - times.tokens[0]
        return times.first_token <= self.first_token and writing <= self.between * (len(times.tokens) - 1)


class Percentiles(NamedTuple):
    """Three percentiles of times in seconds. For example, 95 % of the values are at most p95. All are NaN if
    there are no values.
    """

    median: float
    p95: float
    p99: float


class LatencySummary(NamedTuple):
    """The latencies and rates of a stream of requests. seconds: the time from the first arrival to the last
    token. The rates are means over this time. goodput: like requests_per_second, but only for requests that
    meet the limits.
    """

    requests: int
    seconds: float
    first_token: Percentiles
    between: Percentiles
    latency: Percentiles
    tokens_per_second: float
    requests_per_second: float
    goodput: float


def summary(times: Sequence[RequestTimes], limits: LatencyLimits) -> LatencySummary:
    """Return the latencies and rates of complete requests. Raises ConfigError if there is no request.

    >>> from minipar.inference.queueing.latency import LatencyLimits, RequestTimes, summary
    >>> two = [RequestTimes(0.0, (1.0, 2.0)), RequestTimes(2.0, (4.0,))]
    >>> found = summary(two, LatencyLimits(first_token=1.5, between=1.0))
    >>> found.first_token.median, found.between.median, found.tokens_per_second, found.goodput
    (1.5, 1.0, 0.75, 0.25)
    """
    if not times:
        raise ConfigError("no request is complete, so there are no times to summarise; serve at least one",
                          item="requests")
    seconds = max(one.tokens[-1] for one in times) - min(one.arrived for one in times)
    met = sum(map(limits.met_by, times))
    counts = sum(len(one.tokens) for one in times), len(times), met
    return LatencySummary(len(times), seconds, percentiles([one.first_token for one in times]),
                          percentiles([gap for one in times for gap in one.between]),
                          percentiles([one.latency for one in times]),
                          *(count / seconds if seconds else math.inf for count in counts))


def percentiles(values: Sequence[float]) -> Percentiles:
    """Return the percentiles, interpolated between neighbouring values.

    >>> percentiles([1.0, 2.0, 3.0]).median
    2.0
    """
    if not values:
        return Percentiles(math.nan, math.nan, math.nan)
    return Percentiles(*np.percentile(values, [50, 95, 99]).tolist())
