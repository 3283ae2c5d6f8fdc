"""first_nonfinite names the place where a NaN came up, and leaves the model as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.config import ModelConfig
from minipar.errors import ShapeError
from minipar.nn import GPT
from minipar.nn.nonfinite import first_nonfinite

CONFIG: dict[str, Any] = dict(vocabulary=7, context=5, layers=3, heads=2, width=8)
INPUTS = np.arange(10).reshape(2, 5) % 7


def first(model: GPT, inputs: np.ndarray = INPUTS) -> str | None:
    place = first_nonfinite({0: model}, lambda: model(inputs))
    return place and place.words


def module(model: GPT, name: str) -> Any:
    return next(module for module in model.modules() if module.name == name)


@pytest.mark.parametrize("tied", [True, False])
def test_a_sound_model_has_none_and_stays_as_it_is(tied: bool) -> None:
    model = GPT(ModelConfig(**CONFIG, tied=tied))
    before = {id(m): dict(vars(m)) for m in model.modules()}
    assert first(model) is None
    assert {id(m): dict(vars(m)) for m in model.modules()} == before
    assert model(INPUTS).node is not None                            # and it records a tape again


@pytest.mark.parametrize("name", ["blocks.0.norm1", "blocks.1.attention.qkv", "blocks.1.attention",
                                  "blocks.2.mlp.down", "blocks.2.mlp", "blocks.2", "norm"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_is_named_by_the_innermost_module_that_made_it(name: str, value: float) -> None:
    model = GPT(ModelConfig(**CONFIG))
    place = module(model, name)
    forward = place.forward

    def spoilt(*args: object, **kwargs: object) -> Tensor:
        out = forward(*args, **kwargs)
        out.data[0, 1, 2] = value
        return out

    vars(place)["forward"] = spoilt
    assert first(model) == f"the output of {name}"


@pytest.mark.parametrize("name", ["positions.weight", "blocks.1.norm2.bias", "head.weight"])
def test_weights_come_before_what_they_spoil(name: str) -> None:
    model = GPT(ModelConfig(**CONFIG, tied=False))
    next(p for p in model.parameters() if p.name == name).data.flat[3] = -np.inf
    assert first(model) == f"the weights {name}"


@pytest.mark.parametrize("tied, name", [(True, "tokens"), (False, "head")])
def test_logits_that_overflow_are_the_heads(tied: bool, name: str) -> None:
    model = GPT(ModelConfig(**CONFIG, tied=tied))
    model.norm.weight.data[...] = 1e38
    model.head.weight.data[...] *= 1e4
    assert first(model) == f"the output of {name}"


def test_products_that_overflow() -> None:
    model = GPT(ModelConfig(**CONFIG))
    module(model, "blocks.1.mlp.up").weight.data *= np.float32(2e38)
    module(model, "blocks.1.norm2").weight.data *= 100               # with weights of 4e36, still finite
    assert first(model) == "the output of blocks.1.mlp.up"


def test_a_run_that_fails_leaves_the_model_as_it_was() -> None:
    model = GPT(ModelConfig(**CONFIG))
    with pytest.raises(ShapeError):
        first(model, np.zeros((1, 6), np.int64))
    assert all("forward" not in vars(m) and "logits" not in vars(m) for m in model.modules())
