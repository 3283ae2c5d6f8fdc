"""fine_tune: any loss, any optimiser, and what is to be done after each step."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minipar.autograd import Tensor, mean, sqrt
from minipar.compress.prune import Mask, Masked
from minipar.compress.tune import fine_tune
from minipar.errors import DivergenceError
from minipar.nn import Linear
from minipar.optim import SGD, Adam, Flat
from minipar.rng import stream

X = stream(0, "x").normal(size=(20, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]])


def batches(step: int) -> tuple[np.ndarray, np.ndarray]:
    rows = stream(1, step).integers(20, size=8)
    return X[rows], Y[rows]


def regression() -> tuple[Linear, Callable[[np.ndarray, np.ndarray], Tensor]]:
    layer = Linear("layer", 3, 1)
    layer.initialise(0, np.float64)

    def loss(x: np.ndarray, y: np.ndarray) -> Tensor:
        gap = layer(Tensor(x)) - Tensor(y)
        return mean(gap * gap)
    return layer, loss


def test_it_learns_and_says_what_every_step_lost() -> None:
    layer, loss = regression()
    losses = fine_tune(loss, Adam(Flat(layer.parameters())), batches, 200, 0.1)
    assert len(losses) == 200 and losses[-1] < 1e-3 * losses[0]
    np.testing.assert_allclose(layer.weight.data[:, 0], [1, -2, 0.5], atol=0.05)


def test_steps_are_clipped_and_warmed_up() -> None:
    """With SGD the weights move by rate times gradient: by no more than the rate, and by less at both
    ends.
    """
    layer, loss = regression()
    places = [layer.weight.data.copy()]
    fine_tune(lambda x, y: loss(x, y) * 1e6, SGD(Flat(layer.parameters())), batches, 50, 1e-3,
              after=lambda: places.append(layer.weight.data.copy()))
    moved = [float(np.linalg.norm(two - one)) for one, two in zip(places, places[1:], strict=False)]
    assert len(moved) == 50 and max(moved) <= 1e-3 * (1 + 1e-12)
    assert moved[0] < 0.3e-3 and moved[-1] < 0.2e-3


def test_a_mask_holds_all_along() -> None:
    layer, loss = regression()
    keep = np.array([[True], [False], [True]])
    zeros = []
    fine_tune(loss, Masked(Adam(Flat(layer.parameters())), Mask({"layer.weight": keep})), batches, 20, 0.1,
              after=lambda: zeros.append(layer.weight.data[1, 0]))
    assert zeros == [0.0] * 20 and (layer.weight.data[keep] != 0).all()


@pytest.mark.parametrize("spoil", [lambda loss: loss * math.nan, lambda loss: sqrt(loss * 0)],
                         ids=["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_ends_it_and_leaves_the_weights(
    spoil: Callable[[Tensor], Tensor],
) -> None:
    layer, loss = regression()
    calls: list[np.ndarray] = []

    def spoilt(x: np.ndarray, y: np.ndarray) -> Tensor:
        calls.append(layer.weight.data.copy())
        return spoil(loss(x, y)) if len(calls) == 3 else loss(x, y)

    with np.errstate(all="ignore"), pytest.raises(DivergenceError,
                                                  match="step 2: .* gradient norm nan; try a lower lr"):
        fine_tune(spoilt, Adam(Flat(layer.parameters())), batches, 20, 0.1)
    assert len(calls) == 3 and np.array_equal(layer.weight.data, calls[-1])
