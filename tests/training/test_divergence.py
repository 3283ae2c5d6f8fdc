"""What a trainer does where numbers stop being finite."""

from __future__ import annotations

import numpy as np
import pytest

from minipar.errors import DivergenceError
from minipar.training.trainer import Trainer
from tests.refusals import refused
from tests.tiny import same_bits, trainer


def plant(one: Trainer, name: str, value: float) -> None:
    next(p for p in one.flat.parameters if p.name == name).data[...] = value


def test_a_step_that_diverges_changes_nothing() -> None:
    one = trainer()
    one.step()
    plant(one, "blocks.0.attention.qkv.weight", 1e30)                # finite, but its products are not
    before = {name: array.copy() for name, array in one.state()[0].items()}
    with pytest.raises(DivergenceError, match=r"^step 1: .*blocks\.0\.attention\.out"):
        one.step()
    assert same_bits(one.state()[0], before) and (one.steps_done, one.optimizer.steps) == (1, 1)


@pytest.mark.parametrize("value, said", [
    (np.nan, "gradient norm nan; it arose first in the gradient of blocks.0.mlp.down.weight; "),
    (np.inf, "gradient norm inf; it arose first in the gradient of blocks.0.mlp.down.weight; "),
])
def test_a_gradient_that_diverges_while_the_loss_does_not(value: float, said: str) -> None:
    one = trainer()
    down = next(p for p in one.flat.parameters if p.name == "blocks.0.mlp.down.weight")
    down.hooks.append(lambda gradient: gradient.fill(value))
    with pytest.raises(DivergenceError, match=rf"^step 0: loss 3\.\d+, {said}"):
        one.step()


def test_a_large_gradient_is_clipped_though_its_squares_overflow() -> None:
    one = trainer()                                                  # float32, where 1e30 squared is infinite
    down = next(p for p in one.flat.parameters if p.name == "blocks.0.mlp.down.weight")
    down.hooks.append(lambda gradient: gradient.fill(1e30))
    assert 1e30 < one.step().norm < 1e32 and np.isfinite(one.flat.data).all()


def test_a_validation_that_diverges() -> None:
    one = trainer()
    plant(one, "norm.weight", np.inf)
    with refused(DivergenceError, "validation", step=0, item="the weights norm.weight"):
        one.validate()


def test_a_spoilt_state_is_not_given_away() -> None:
    one = trainer()
    plant(one, "norm.weight", np.nan)
    with refused(DivergenceError, "spoilt", step=0, item="the weights norm.weight"):
        one.state()
