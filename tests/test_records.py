"""A value of another type than its field declares is refused, by the name of the field: in Python as from a
file.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError, LayoutError
from minipar.records import record_from

STRANGE: list[Any] = ["8", 2.5, None, [], {}, True, 10**5000, float("nan"), float("inf"), -1, b"8", ("a",),
                      1j, [1], {"a": 1}]
CONFIGS: list[Any] = [ModelConfig(), TrainConfig(), Layout()]


@pytest.mark.parametrize("config, name", [(config, field.name) for config in CONFIGS
                                          for field in fields(config)])
def test_no_strange_value_passes(config: Any, name: str) -> None:
    """Each is refused by the field's name, or is right for the field and comes back."""
    for value in STRANGE:
        try:
            made = replace(config, **{name: value})
        except (ConfigError, LayoutError) as error:
            assert (
                name.split("_")[0] in str(error).replace(" ", "_").replace("-", "_") and len(str(error)) < 500
            )
        else:
            assert getattr(made, name) == value and type(value) in (type(getattr(config, name)), int)


def test_numbers_of_numpy_are_numbers() -> None:
    assert ModelConfig(width=np.int64(8), dropout=np.float32(0.5)).width == 8
    assert TrainConfig(lr=1).lr == 1


@pytest.mark.parametrize("values, said", [
    ([], "model is \\[\\]; it must be"), ("x", "model is 'x'"),
    ({"layers": "8"}, "layers is '8'; it must be a whole number"),
    ({"experts": 8}, "it has unknown fields: experts"), ({1: 2}, "it has unknown fields: 1"),
    ({"layers": 0}, "layers is 0"),
])
def test_a_record_from_a_file(values: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        record_from(ModelConfig, values, "model")


def test_what_is_left_out_has_its_default() -> None:
    assert record_from(ModelConfig, {"width": 64}, "model") == ModelConfig(width=64)
