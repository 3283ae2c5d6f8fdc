"""Computes the mean waiting time at one server by queueing theory, and the confidence interval of a
simulation.

A server with Poisson arrivals (lambda arrivals per second) and independent random service times S is called
M/G/1. E[S] is the mean of S, and rho = lambda E[S] is the utilisation of the server. The mean wait before
service is (Pollaczek 1930, Khinchine 1932)

    W = lambda E[S^2] / (2 (1 - rho))

    M/M/1   exponential S, E[S^2] = 2 E[S]^2       W = rho E[S] / (1 - rho)
    M/D/1   constant S,    E[S^2] =   E[S]^2       W = half of the time for M/M/1

Example: with rho = 0.9 and E[S] = 1 s, W is 9 s for M/M/1 and 4.5 s for M/D/1. So users of a server with a
high utilisation wait long, although the server has enough capacity.

**Little's law** (Little 1961) holds exactly for every queue that is empty at the start and at the end: the
mean number of requests in the queue is the arrival rate times the mean time that a request spends in it.
"""


from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minipar.errors import ConfigError

BATCHES = 20
STUDENT = 2.093                     # 97.5 % quantile of Student's t with 19 degrees of freedom


def mean_wait(rate: float, mean: float, mean_square: float) -> float:
    """Return the mean wait in seconds before service, for M/G/1. rate: arrivals per second. mean: E[S] in
    seconds. mean_square: E[S^2].

    Raises ConfigError if the utilisation is not below 1.

    >>> mean_wait(0.5, 1.0, 1.0), mean_wait(0.5, 1.0, 2.0)          # M/D/1, M/M/1
    (0.5, 1.0)
    """
    if not 0 < rate * mean < 1:
        raise ConfigError(f"the utilisation is {rate * mean:.3g}; a steady queue needs a utilisation between "
                          "0 and 1", item="rate")
    return rate * mean_square / (2 * (1 - rate * mean))


def batch_means(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of correlated values, and half the width of its 95 % confidence interval.

    The waiting times of neighbouring requests are correlated, so the usual interval would be too narrow. The
    means of 20 long batches of neighbours are nearly independent, and the interval is computed from them.
    Raises ConfigError for fewer than 20 values.
    """
    if len(values) < BATCHES:
        raise ConfigError(f"{len(values)} values are too few for {BATCHES} batches; simulate more requests",
                          item="values")
    size = len(values) // BATCHES
    means = np.reshape(values[: size * BATCHES], (BATCHES, size)).mean(1)
    return float(np.mean(values)), STUDENT * float(means.std(ddof=1)) / math.sqrt(BATCHES)
