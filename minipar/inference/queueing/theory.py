"""Queueing theory: the mean waiting time at one server, and the confidence interval of a simulation.

A server with Poisson arrivals (rate lambda) and independent service times S is called M/G/1. Its utilisation
is rho = lambda E[S]. The mean wait before service is (Pollaczek 1930, Khinchine 1932)

    W = lambda E[S^2] / (2 (1 - rho))

    M/M/1   exponential S, E[S^2] = 2 E[S]^2       W = rho E[S] / (1 - rho)
    M/D/1   constant S,    E[S^2] =   E[S]^2       W = half of this

Example: with rho = 0.9 and E[S] = 1 s, W is 9 s for M/M/1 and 4.5 s for M/D/1. So users of a nearly
full server wait, although the server is never overloaded.

**Little's law** (Little 1961) holds exactly for every queue that is empty at the start and at the end: the
mean number of requests in the queue is the arrival rate times the mean time that a request spends in it.
"""

# N values

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minipar.errors import ConfigError

BATCHES = 20
STUDENT = 2.093                                                     # 97.5 % of Student's t, 19 degrees


def mean_wait(rate: float, mean: float, mean_square: float) -> float:
    """Return the mean seconds from arrival to service in M/G/1. `rate` is in arrivals per second; `mean` is
    E[S], `mean_square` is E[S^2].

    Raises ConfigError if the utilisation is not below 1.

    >>> mean_wait(0.5, 1.0, 1.0), mean_wait(0.5, 1.0, 2.0)          # M/D/1, M/M/1
    (0.5, 1.0)
    """
    if not 0 < rate * mean < 1:
        raise ConfigError(f"the utilisation is {rate * mean:.3g}; a steady queue needs a utilisation between "
                          "0 and 1", item="rate")
    return rate * mean_square / (2 * (1 - rate * mean))


def batch_means(values: Sequence[float]) -> tuple[float, float]:
    """Return (mean, half the width of its 95 % confidence interval) of values that depend on their
    neighbours.

    Waiting times of neighbouring requests are correlated, so the usual interval would be too narrow. The
    means of 20 long batches are nearly independent. Raises ConfigError for fewer than 20 values.
    """
    if len(values) < BATCHES:
        raise ConfigError(f"{len(values)} values are too few for {BATCHES} batches; simulate more requests",
                          item="values")
    size = len(values) // BATCHES
    means = np.reshape(values[: size * BATCHES], (BATCHES, size)).mean(1)
    return float(np.mean(values)), STUDENT * float(means.std(ddof=1)) / math.sqrt(BATCHES)
