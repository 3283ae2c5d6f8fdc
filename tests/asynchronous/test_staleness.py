"""The limit on the rate, against the roots and against the simulation."""

import math

import numpy as np
import pytest

from minipar.asynchronous.staleness import delayed_descent, shrink_factor, stability_limit
from minipar.errors import ConfigError


@pytest.mark.parametrize("delay", range(9))
def test_descent_shrinks_below_the_limit_and_grows_above_it(delay: int) -> None:
    limit = stability_limit(delay)
    assert shrink_factor(limit, delay) == pytest.approx(1, abs=1e-12)
    for factor, shrinks in ((0.999, True), (1.001, False)):
        assert (shrink_factor(factor * limit, delay) < 1) is shrinks
    ends = [
        abs(delayed_descent(factor * limit, delay, 400 * (delay + 1))[-2 * delay - 2 :]).max()
        for factor in (0.97, 1.03)
    ]
    assert ends[0] < 0.05 and ends[1] > 20


def test_the_simulation_shrinks_by_the_largest_root() -> None:
    x = abs(delayed_descent(0.2, 1, 60))
    assert x[60] / x[59] == pytest.approx(shrink_factor(0.2, 1), abs=1e-9)


def test_no_delay_is_plain_descent() -> None:
    np.testing.assert_allclose(delayed_descent(0.3, 0, 5), 0.7 ** np.arange(6), rtol=1e-15)
    assert (
        stability_limit(0) == 2
        and stability_limit(1) == pytest.approx(1)
        and math.isclose(stability_limit(2), (5**0.5 - 1) / 2)
    )


def test_a_delay_from_the_future() -> None:
    for act in (lambda: stability_limit(-1), lambda: shrink_factor(1, -1), lambda: delayed_descent(1, -1, 3)):
        with pytest.raises(ConfigError, match="delay of -1"):
            act()
