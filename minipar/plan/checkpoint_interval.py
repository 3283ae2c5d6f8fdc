"""Finds the best time between two saves. Frequent saves take time; rare saves lose more work at a failure.

If one rank fails after mu seconds on average, the first of p ranks fails after M = mu / p seconds on average.
Failures are random (a Poisson process). One save of `save` seconds follows every `interval` seconds of work,
and a restart takes `restart` seconds. Then the expected time of the whole training is (Daly 2006, "A higher
order estimate of the optimum checkpoint interval", eq. 13)

    M exp(restart / M) (exp((interval + save) / M) - 1) work / interval         M: mean time between failures

If `save` is much smaller than M, this time is smallest near Young's interval, sqrt(2 save M) (Young 1974).
"""

from __future__ import annotations

import math

import numpy as np

from minipar.errors import ConfigError
from minipar.rng import stream


def young_interval(save: float, between_failures: float) -> float:
    """Returns the seconds of work between two saves by Young's formula.

    >>> young_interval(save=2.0, between_failures=3600.0)
    120.0
    """
    _require_positive(save=save, between_failures=between_failures)
    return math.sqrt(2 * save * between_failures)


def expected_seconds(work: float, interval: float, save: float, restart: float,
                     between_failures: float) -> float:
    """Returns the expected seconds of a training run of `work` seconds. All arguments are in seconds.

    >>> round(expected_seconds(3600, interval=60, save=1, restart=5, between_failures=1e9))
    3660
    """
    _require_positive(work=work, interval=interval, between_failures=between_failures)
    mean = between_failures
    return mean * math.exp(restart / mean) * math.expm1((interval + save) / mean) * work / interval


def simulated_seconds(work: float, interval: float, save: float, restart: float, between_failures: float,
                      seed: int = 0) -> float:
    """Simulates one training with random failures and returns its seconds. A failure can also happen during a
    save or a restart.
    """
    _require_positive(work=work, interval=interval, between_failures=between_failures)
    rng, clock, done = stream(seed, "failures"), 0.0, 0.0
    failure = rng.exponential(between_failures)
    while done < work:
        end = clock + min(interval, work - done) + save
        if end <= failure:
            clock, done = end, done + min(interval, work - done)
            continue
        clock = failure                                             # the work of this interval is lost
        failure = clock + rng.exponential(between_failures)
        while clock + restart > failure:                            # the restart failed
            clock = failure
            failure = clock + rng.exponential(between_failures)
        clock += restart
    return clock


def mean_simulated_seconds(work: float, interval: float, save: float, restart: float,
                           between_failures: float, runs: int = 200) -> float:
    """Returns the mean seconds of `runs` simulated runs."""
    return float(np.mean([simulated_seconds(work, interval, save, restart, between_failures, seed)
                          for seed in range(runs)]))


def _require_positive(**seconds: float) -> None:
    for name, value in seconds.items():
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} is {value} seconds; give a positive number", item=name)
