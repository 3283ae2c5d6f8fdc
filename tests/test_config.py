"""Sizes that cannot be are refused in one line that says what to choose; those that can be are kept as they
are.
"""

from dataclasses import FrozenInstanceError, asdict, replace

import pytest

from minipar.config import GPT2, ModelConfig
from minipar.errors import ConfigError


@pytest.mark.parametrize("sizes, message", [
    ({"vocabulary": 0}, "vocabulary is 0; it must be at least 1"),
    ({"context": -1},   "context is -1"),
    ({"layers": 0},     "layers is 0"),
    ({"heads": 0},      "heads is 0"),
    ({"width": 0},      "width is 0"),
    ({"hidden": -4},    "hidden is -4"),
    ({"dropout": -0.1}, "dropout is -0.1"),
    ({"dropout": 1.0},  "dropout is 1.0"),
    ({"dropout": float("nan")}, "dropout is nan"),
    ({"width": 10**20}, "width is 100000000000000000000; it must be at most 268,435,456"),
    # at once
    ({"heads": 7, "width": 1 << 28}, "7 heads do not divide the width 268435456; choose 8, 4, 2, 1 heads"),
    ({"heads": 5, "width": 128}, "5 heads do not divide the width 128; choose 4, 2, 8, 1 heads"),
    ({"heads": 7, "width": 5},   "7 heads do not divide the width 5; choose 5, 1 heads"),
])
def test_impossible_sizes(sizes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        ModelConfig(**sizes)
    assert "\n" not in str(caught.value)


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="3 heads"):
        replace(GPT2, heads=3, width=64)


def test_smallest_and_odd_sizes() -> None:
    one = ModelConfig(1, 1, 1, 1, 1)
    assert one.mlp_width == 4 and one.head_width == 1
    assert ModelConfig(width=96, heads=3, hidden=7).mlp_width == 7


def test_gpt2() -> None:
    assert (GPT2.head_width, GPT2.mlp_width, GPT2.tied, GPT2.bias) == (64, 3072, True, True)


def test_a_config_is_a_value() -> None:
    assert ModelConfig(**asdict(GPT2)) == GPT2 and hash(ModelConfig(**asdict(GPT2))) == hash(GPT2)
    with pytest.raises(FrozenInstanceError):
        GPT2.layers = 13
