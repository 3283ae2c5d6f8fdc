"""The loss scale halves, doubles and gives up when it should; a static one only skips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipar.errors import ConfigError
from minipar.precision import BFLOAT16, FLOAT16, FLOAT32, LossScale, loss_scale_of


def test_doubles_after_so_many_good_steps_and_halves_after_a_bad_one() -> None:
    scale = LossScale(8.0, growth_every=3)
    history = []
    for finite in (True, True, True, True, False, True, True, True, False, False):
        assert scale.update(finite) == finite
        history.append(scale.scale)
    assert history == [8, 8, 16, 16, 8, 8, 8, 16, 8, 4] and (scale.skipped, scale.in_a_row) == (3, 2)


@given(outcomes=st.lists(st.booleans(), max_size=40), at=st.integers(0, 40))
def test_what_is_saved_goes_on(outcomes: list[bool], at: int) -> None:
    whole, first = LossScale(growth_every=2), LossScale(growth_every=2)
    for finite in outcomes:
        whole.update(finite)
    for finite in outcomes[:at]:
        first.update(finite)
    second = LossScale(**first.state())
    for finite in outcomes[at:]:
        second.update(finite)
    assert second == whole


def test_a_static_scale_skips_and_stays() -> None:
    scale = LossScale(128.0, growth_every=0)
    assert [scale.update(finite) for finite in (True, False,
                                                True)] == [True, False, True] and scale.scale == 128


@pytest.mark.parametrize("scale", [LossScale(), LossScale(128.0, growth_every=0)])
def test_gives_up_after_too_many_in_a_row(scale: LossScale) -> None:
    for _ in range(scale.patience - 1):
        scale.update(False)
    assert not scale.hopeless
    scale.update(True)
    for _ in range(scale.patience):
        assert not scale.hopeless
        scale.update(False)
    assert scale.hopeless


def test_who_needs_one() -> None:
    assert loss_scale_of(FLOAT16) == LossScale(2.0**16, growth_every=2000)
    assert loss_scale_of(FLOAT16, 128) == LossScale(128, growth_every=0)
    for format in (FLOAT32, BFLOAT16):
        scale = loss_scale_of(format)
        assert scale.scale == 1 and not scale.update(False) and scale.hopeless, "there is no scale to blame"


@given(power=st.integers(-8, 40))
def test_unscaling_is_exact(power: int) -> None:
    gradient = np.random.default_rng(0).normal(size=50).astype(np.float32)
    scaled = gradient * np.float32(2.0**power)
    LossScale(2.0**power).unscale(scaled)
    assert (scaled == gradient).all()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_means_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ConfigError, match="must be a positive number"):
        LossScale(scale)
