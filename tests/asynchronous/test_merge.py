"""Merging: the assignment is the best of all, aligned models compute the same, and their mean is one of them.
"""

from itertools import permutations

import numpy as np
import pytest

from minipar.asynchronous.assignment import assign
from minipar.asynchronous.merge import align, align_gpt, average, order_of_units
from minipar.autograd.elementwise import plain_gelu
from minipar.autograd.engine import backward
from minipar.autograd.reductions import mean
from minipar.autograd.tensor import Tensor
from minipar.config import ModelConfig
from minipar.errors import ShapeError
from minipar.nn import GPT
from minipar.rng import stream


@pytest.mark.parametrize("seed", range(60))
def test_the_assignment_is_the_best_of_all(seed: int) -> None:
    rng = stream(seed, "costs")
    n = int(rng.integers(1, 7))
    costs = rng.integers(0, 6, (n, n)).astype(float) if seed % 2 else rng.normal(size=(n, n))
    columns = assign(costs)
    assert sorted(columns) == list(range(n))
    best = min(
        sum(costs[row, column] for row, column in enumerate(order)) for order in permutations(range(n))
    )
    assert costs[np.arange(n), columns].sum() == pytest.approx(best, abs=1e-12)


def test_two_hundred_rows_with_a_known_answer() -> None:
    order = stream(0, "order").permutation(200)
    costs = stream(1, "costs").random((200, 200)) + 1
    costs[np.arange(200), order] -= 1
    assert assign(costs).tolist() == order.tolist()


@pytest.mark.parametrize(
    "costs", [np.ones((2, 3)), np.ones(3), np.full((2, 2), np.nan), np.array([[np.inf]])]
)
def test_tables_that_cannot_be(costs: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="assign"):
        assign(costs)


def outputs(state: dict[str, np.ndarray]) -> np.ndarray:
    model = GPT(CONFIG, dtype="float64")
    model.load_state_dict(state)
    return model(np.arange(10).reshape(2, 5)).data


CONFIG = ModelConfig(vocabulary=11, context=5, layers=2, heads=2, width=8)


@pytest.mark.parametrize("bias", [True, False])
def test_a_gpt_with_other_units_first_is_found_again(bias: bool) -> None:
    """A copy of the model has its MLPs' hidden units in a random order. The mean of the two models computes
    something else, and after alignment it computes the same.
    """
    state = GPT(
        ModelConfig(vocabulary=11, context=5, layers=2, heads=2, width=8, bias=bias), seed=3, dtype="float64"
    ).state_dict()
    shuffled = dict(state)
    for layer in range(2):
        order = stream(layer, "order").permutation(32)
        name = next(n for n in state if n.endswith("mlp.up.weight") and f".{layer}." in n).removesuffix(
            ".up.weight"
        )
        shuffled[f"{name}.up.weight"] = state[f"{name}.up.weight"][:, order]
        shuffled[f"{name}.down.weight"] = state[f"{name}.down.weight"][order]
        if bias:
            shuffled[f"{name}.up.bias"] = state[f"{name}.up.bias"][order]
    aligned = align_gpt(state, shuffled)
    merged = average([state, aligned])
    assert all(np.array_equal(merged[name], state[name]) for name in state)
    if bias:
        np.testing.assert_allclose(outputs(shuffled), outputs(state), rtol=0, atol=1e-12)
        np.testing.assert_allclose(outputs(aligned), outputs(state), rtol=0, atol=1e-12)
        assert abs(outputs(average([state, shuffled])) - outputs(state)).max() > 1e-3


def test_noise_does_not_hide_the_order() -> None:
    units = stream(0, "units").normal(size=(40, 6))
    order = stream(1, "order").permutation(40)
    other = units[order] + 0.01 * stream(2, "noise").normal(size=units.shape)
    assert order[order_of_units(units, other)].tolist() == list(range(40))


def test_the_mean_is_summed_in_float64() -> None:
    states = [{"w": np.full(3, 60000, np.float16)} for _ in range(4)]
    assert average(states)["w"].dtype == np.float16 and average(states)["w"].tolist() == [60000] * 3


@pytest.mark.parametrize("act", [
    lambda: average([]), lambda: average([{"a": np.ones(2)}, {"a": np.ones(3)}]),
    lambda: average([{"a": np.ones(2)}, {"b": np.ones(2)}]),
    lambda: order_of_units(np.ones((2, 2)), np.ones((3, 2))),
    lambda: align({"a.weight": np.ones((2, 2))}, {"a.weight": np.ones((2, 2))}, "a", "b")])
def test_models_that_cannot_be_merged(act: object) -> None:
    with pytest.raises(ShapeError):
        act()  # type: ignore[operator]


def test_the_gradient_of_a_sum_of_tasks_is_the_sum_of_the_gradients() -> None:
    """Multi-task learning: one trunk, two heads."""
    rng = stream(0, "tasks")
    x, heads = Tensor(rng.normal(size=(5, 4))), [Tensor(rng.normal(size=(4, 2))) for _ in range(2)]

    def gradient(tasks: list[int]) -> np.ndarray:
        trunk = Tensor(stream(1, "trunk").normal(size=(4, 4)), requires_grad=True)
        losses = [mean(plain_gelu(x @ trunk) @ heads[task]) for task in tasks]
        backward(losses[0] if len(losses) == 1 else losses[0] + losses[1])
        assert trunk.grad is not None
        return trunk.grad
    np.testing.assert_allclose(gradient([0, 1]), gradient([0]) + gradient([1]), rtol=0, atol=1e-12)
