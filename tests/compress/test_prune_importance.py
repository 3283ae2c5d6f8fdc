"""Importance by gradient and curvature, Optimal Brain Surgeon and LASSO: against what the loss really
does.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minipar.autograd import Tensor, backward, causal_attention, gelu, hessian_vector_product, no_grad
from minipar.compress.prune import (
    first_order,
    fisher,
    lasso,
    lasso_gap,
    lasso_prox,
    magnitude_mask,
    obd,
    obs,
    obs_linear,
    obs_prune,
    obs_remove,
    squared_gradients,
)
from minipar.compress.prune.obs import BLOCK
from minipar.config import ModelConfig
from minipar.errors import ConfigError, DataError, RangeError, ShapeError
from minipar.nn import GPT
from minipar.rng import stream
from tests.refusals import refused

sizes = st.integers(1, 8)


def quadratic(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(the Hessian [n, n] of a loss, its minimum [n])."""
    root = stream(seed, "root", n).normal(size=(2 * n, n))
    return root.T @ root / n, stream(seed, "minimum", n).normal(size=n)


def rise(hessian: np.ndarray, step: np.ndarray) -> float:
    return float(0.5 * step @ hessian @ step)


@given(sizes, st.integers(0, 9))
def test_obd_is_what_the_loss_rises_by(n: int, seed: int) -> None:
    hessian, w = quadratic(n, seed)
    scores = obd({"w": w}, {"w": np.diag(hessian)})["w"]
    for i in range(n):
        assert scores[i] == pytest.approx(rise(hessian, -w[i] * np.eye(n)[i]), rel=1e-9)


@given(sizes, st.integers(0, 9))
def test_obs_is_what_the_loss_rises_by_when_the_others_adapt(n: int, seed: int) -> None:
    hessian, w = quadratic(n, seed)
    inverse = np.linalg.inv(hessian)
    for i, score in enumerate(obs(w, inverse)):
        adapted, left = obs_remove(w, inverse, i)
        others = np.delete(np.arange(n), i)
        assert adapted[i] == 0 and score == pytest.approx(rise(hessian, adapted - w), rel=1e-8)
        # a minimum again
        np.testing.assert_allclose((hessian @ (adapted - w))[others], 0, atol=1e-9 * abs(hessian).max())
        np.testing.assert_allclose(left[np.ix_(others, others)],
                                   np.linalg.inv(hessian[np.ix_(others, others)]), rtol=1e-6)
        assert score <= obd({"w": w}, {"w": np.diag(hessian)})["w"][i] * (1 + 1e-9)


@given(sizes, st.data())
def test_removing_many_adds_up(n: int, data: st.DataObject) -> None:
    hessian, w = quadratic(n)
    count = data.draw(st.integers(0, n))
    pruned, predicted = obs_prune(w, hessian, count)
    assert (pruned == 0).sum() == count and predicted == pytest.approx(
        rise(hessian, pruned - w), rel=1e-7, abs=1e-12
    )


def test_obs_refuses_what_is_no_minimum() -> None:
    with pytest.raises(ShapeError, match=r"shape \(3, 3\); got \(2, 2\)"):
        obs_prune(np.ones(3), np.eye(2), 1)
    with pytest.raises(ConfigError, match="not positive definite"):
        obs_prune(np.ones(3), -np.eye(3), 1)
    with pytest.raises(RangeError, match="the Hessian holds NaN or infinity"):
        obs_prune(np.ones(3), np.full((3, 3), np.nan), 1)
    with pytest.raises(ConfigError, match="of 3 weights 0 to 3"):
        obs_prune(np.ones(3), np.eye(3), 4)
    with pytest.raises(ShapeError, match=r"a layer of 3 inputs"):
        obs_linear(np.ones((3, 2)), np.eye(2), 0.5)


@given(st.integers(1, 2 * BLOCK + 3), st.integers(1, 6), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_layer_pruned_by_obs_keeps_the_ratio_over_all_its_blocks(inputs: int, outputs: int,
                                                                   ratio: float) -> None:
    gram, _ = quadratic(inputs)
    pruned = obs_linear(stream(0, "weight").normal(size=(inputs, outputs)), gram, ratio)
    assert (pruned == 0).sum() == int(round(ratio * pruned.size, 6))


def test_a_layer_of_a_gpt_pruned_by_obs_keeps_its_outputs_better() -> None:
    """The hidden units of a block as inputs of `down`: correlated, so that weights can stand in for each
    other.
    """
    model = GPT(ModelConfig(vocabulary=17, context=16, layers=2, heads=2, width=16))
    tokens = stream(0, "tokens").integers(0, 17, (32, 16))
    with no_grad():
        block, x = model.blocks[1], model.blocks[0](model.token_table.look_up(tokens) + model.position_table)
        x = x + block.attention(block.norm1(x), causal_attention)
        x = gelu(block.mlp.up(block.norm2(x))).data.reshape(-1, 64)             # what `down` is given
    w = block.mlp.down.weight.data
    for ratio in (0.3, 0.5, 0.8):
        by_obs = obs_linear(w, x.T @ x, ratio)
        by_magnitude = np.where(magnitude_mask({"w": w}, ratio).keep["w"], w, 0)
        errors = [float(np.linalg.norm(x @ (pruned - w))) for pruned in (by_obs, by_magnitude)]
        assert by_obs.dtype == w.dtype and errors[0] < 0.8 * errors[1], (ratio, errors)


# Gradients and their squares

def test_squared_gradients_are_the_mean_over_batches() -> None:
    model = GPT(ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4), dtype=np.float64)
    batches = [stream(0, "tokens", i).integers(0, 7, (1, 5)) for i in range(3)]
    squares = squared_gradients(lambda t: model.loss(t[:, :-1], t[:, 1:]), model.parameters(), batches)
    expected = {p.name: np.zeros(p.shape) for p in model.parameters()}
    for t in batches:
        model.zero_grad()
        backward(model.loss(t[:, :-1], t[:, 1:]))
        for p in model.parameters():
            expected[p.name] += p.grad**2 / 3
    for name, square in squares.items():
        np.testing.assert_allclose(square, expected[name], rtol=1e-12)
    weights = {p.name: p.data for p in model.parameters()}
    score = fisher(weights, squares)["tokens.weight"]
    np.testing.assert_allclose(score, 0.5 * squares["tokens.weight"] * weights["tokens.weight"] ** 2)
    with pytest.raises(DataError, match="no batch"):
        squared_gradients(lambda t: model.loss(t, t), model.parameters(), [])


def test_curvature_of_a_gpt_predicts_what_removing_a_weight_does() -> None:
    """g w and 1/2 H_ii w^2 are the first two terms of the loss along -w_i e_i; on small weights there is
    little more.
    """
    model = GPT(ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4), dtype=np.float64)
    tokens = stream(0, "tokens").integers(0, 7, (2, 5))
    down = model.blocks[0].mlp.down.weight

    def loss() -> Tensor:
        return model.loss(tokens[:, :-1], tokens[:, 1:])

    backward(loss())
    gradient = down.grad.copy()
    before = loss().item()
    for place in [(0, 0), (3, 2), (15, 3)]:
        leaves = {p.name: np.zeros(p.shape) for p in model.parameters()}
        leaves[down.name][place] = 1
        products = hessian_vector_product(loss, model.parameters(), list(leaves.values()))
        product = dict(zip(leaves, products, strict=True))[down.name]
        w = down.data[place]
        predicted = obd({"w": w}, {"w": product[place]})["w"] - gradient[place] * w
        assert abs(gradient[place] * w) == pytest.approx(first_order({"w": down.data},
                                                                     {"w": gradient})["w"][place])
        down.data[place] = 0
        assert loss().item() - before == pytest.approx(predicted, rel=1e-3)
        down.data[place] = w


# LASSO

@given(arrays(np.float64, st.integers(0, 20), elements=st.floats(-10, 10)), st.floats(0, 5))
def test_the_soft_threshold_satisfies_its_optimality_condition(w: np.ndarray, amount: float) -> None:
    """u minimises 1/2 (u - w)^2 + amount |u| exactly where -(u - w) is amount times a subgradient of |u|."""
    u = lasso_prox(w, amount)
    assert lasso_gap(u, u - w, amount) <= 1e-7 * max(1, abs(w).max(initial=0))
    assert ((u == 0) | (np.sign(u) == np.sign(w))).all() and (abs(u) <= abs(w)).all()
    for other in (u + 1e-3, u - 1e-3, np.zeros_like(u), w):
        assert (0.5 * (u - w) ** 2 + amount * abs(u) <= 0.5 * (other - w) ** 2 + amount
                * abs(other) + 1e-12).all()


def test_the_gap_sees_what_is_no_minimum() -> None:
    assert lasso_gap(np.array([1.0]), np.array([-0.5]), 0.5) == 0
    assert lasso_gap(np.array([1.0]), np.array([0.5]), 0.5) == 1
    assert lasso_gap(np.array([0.0]), np.array([0.7]), 0.5) == pytest.approx(0.2)
    assert lasso_gap(np.zeros(0), np.zeros(0), 0.5) == 0


def test_the_soft_threshold_writes_in_place_and_keeps_the_dtype() -> None:
    w = np.array([-2.0, 0.1, 0.5], np.float32)
    assert lasso_prox(w, 0.5, out=w) is w and w.tolist() == [-1.5, 0, 0] and w.dtype == np.float32
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ConfigError, match="a finite number >= 0"):
            lasso_prox(w, bad)


@given(sizes, st.floats(0.01, 2))
def test_lasso_ends_at_a_minimum(n: int, strength: float) -> None:
    hessian, goal = quadratic(n)
    rate = 1 / np.linalg.eigvalsh(hessian)[-1]
    w = lasso(lambda w: hessian @ (w - goal), np.zeros(n), strength, rate)
    assert lasso_gap(w, hessian @ (w - goal), strength) <= 1e-7


def test_lasso_says_when_it_does_not_arrive() -> None:
    with refused(ConfigError, "50 steps", "rate 2.5"):
        lasso(lambda w: w - 3, np.zeros(2), 0.1, 2.5, steps=50)


def test_training_with_the_prox_makes_zeros_and_without_it_none() -> None:
    """On a linear model with three true weights of twenty: the support comes out, and the penalty's gradient
    finds no zero.
    """
    x = stream(0, "x").normal(size=(200, 20))
    truth = np.zeros(20)
    truth[[2, 5, 11]] = 1.0, -2.0, 0.7
    y = x @ truth + 0.05 * stream(0, "noise").normal(size=200)

    def gradient(w: np.ndarray) -> np.ndarray:
        return x.T @ (x @ w - y) / 200

    w = lasso(gradient, np.zeros(20), 0.1, 0.3)
    plain = np.zeros(20)
    for _ in range(500):
        plain -= 0.3 * (gradient(plain) + 0.1 * np.sign(plain))
    assert np.flatnonzero(w).tolist() == [2, 5, 11] and (plain != 0).all()


def test_the_prox_prunes_a_gpt_in_training() -> None:
    model = GPT(ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=8))
    up = model.blocks[0].mlp.up.weight
    tokens = stream(0, "tokens").integers(0, 7, (4, 5))
    for _ in range(20):
        model.zero_grad()
        backward(model.loss(tokens[:, :-1], tokens[:, 1:]))
        up.data -= 0.1 * up.grad
        lasso_prox(up.data, 0.1 * 0.005, out=up.data)
    assert 0.1 < np.mean(up.data == 0) < 1
