"""Modules find their parameters, load and save them by name; what does not fit is named and changes
nothing.
"""

import numpy as np
import pytest

from minipar.config import ModelConfig
from minipar.errors import ConfigError, ShapeError
from minipar.nn import GPT, Linear, Module, Parameter, Start

CONFIG = ModelConfig(vocabulary=13, context=8, layers=2, heads=2, width=8)


class Twins(Module):
    """Two layers that share a weight, one of them in a list."""

    def __init__(self) -> None:
        super().__init__("twins")
        self.first = Linear("first", 3, 3)
        self.rest = [Linear("second", 3, 3, bias=False)]
        self.rest[0].weight = self.first.weight
        self.scale = Parameter("scale", (3,), Start(mean=1.0))


def test_parameters_come_once_a_modules_own_first() -> None:
    twins = Twins()
    assert [p.name for p in twins.parameters()] == ["scale", "first.weight", "first.bias"]
    assert [m.name for m in twins.modules()] == ["twins", "first", "second"]


def test_two_parameters_of_one_name_are_refused() -> None:
    """They would begin with the same weights, and a checkpoint would hold one of them."""
    namesakes = Twins()
    namesakes.rest.append(Linear("second", 3, 3))
    namesakes.rest.append(Linear("second", 3, 3, bias=False))
    with pytest.raises(ConfigError, match="twins.*second.weight"):
        namesakes.parameters()


def test_names_of_a_gpt_are_stable_and_absolute() -> None:
    names = [p.name for p in GPT(CONFIG).parameters()]
    block = [f"{layer}.{kind}" for layer in ("norm1", "attention.qkv", "attention.out", "norm2", "mlp.up",
                                             "mlp.down")
             for kind in ("weight", "bias")]
    assert sorted(names) == sorted(["tokens.weight", "positions.weight", "norm.weight", "norm.bias",
                                    *(f"blocks.{i}.{name}" for i in range(2) for name in block)])
    untied = {p.name for p in GPT(ModelConfig(13, 8, 2, 2, 8, tied=False)).parameters()}
    assert untied - set(names) == {"head.weight"}
    assert not any("bias" in p.name for p in GPT(ModelConfig(13, 8, 2, 2, 8, bias=False)).parameters())


def test_state_goes_round() -> None:
    model, other = GPT(CONFIG, seed=1), GPT(CONFIG, seed=2)
    arrays = {p.name: p.data for p in other.parameters()}
    state = model.state_dict()
    other.load_state_dict(state)
    for p in other.parameters():
        np.testing.assert_array_equal(p.data, state[p.name])
        assert p.data is arrays[p.name]  # copied: views of a flat buffer stay views
        state[p.name][...] = 0                                      # a state shares no memory with any model
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert abs(model.token_table.weight.data).max() > 0


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("norm.weight"),                                        "norm.weight"),
    (lambda state: state.update({"extra.weight": np.zeros(3)}),                     "extra.weight"),
    (lambda state: state.update({"norm.bias": np.zeros(9, np.float32)}),
     r"norm.bias .*\(9,\).*\(8,\)"),
    (lambda state: state.update({"tokens.weight": np.zeros((8, 13), np.float32)}),
     r"tokens.weight .*\(8, 13\).*\(13, 8\)"),
])
def test_a_state_that_does_not_fit_changes_nothing(change, message: str) -> None:
    model = GPT(CONFIG)
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    change(state)
    with pytest.raises(ShapeError, match=message):
        model.load_state_dict(state)
    for p in model.parameters():
        np.testing.assert_array_equal(p.data, before[p.name])


def test_zero_grad_clears_all() -> None:
    model = GPT(CONFIG)
    for p in model.parameters():
        p.grad = np.ones(p.shape)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(TypeError, match="Twins has no forward"):
        Twins()(1)
