"""A checkpoint of another model is refused by name."""

import pytest

from minipar.checkpoint.match import differences, require_match
from minipar.errors import CheckpointError

MODEL = {"wte.weight": (65, 128), "blocks.0.mlp.up.weight": (128, 512), "norm.bias": (128,)}


def test_the_same_names_and_shapes_match_in_any_order() -> None:
    assert differences(MODEL, dict(reversed(MODEL.items()))) == []
    # as JSON holds shapes
    assert differences(MODEL, {name: list(shape) for name, shape in MODEL.items()}) == []
    require_match(MODEL, dict(MODEL), "a.npz")


@pytest.mark.parametrize("found, phrase", [
    (MODEL | {"wte.weight": (256, 128)}, "wte.weight has shape (256, 128) where the model has (65, 128)"),
    (MODEL | {"norm.bias": (128, 1)}, "norm.bias has shape (128, 1) where the model has (128,)"),
    (MODEL | {"blocks.1.mlp.up.weight": (128, 512)}, "blocks.1.mlp.up.weight is not in the model"),
    ({name: MODEL[name] for name in list(MODEL)[:2]}, "norm.bias is missing"),
])
def test_one_difference(found: dict, phrase: str) -> None:
    assert differences(MODEL, found) == [phrase]
    with pytest.raises(CheckpointError) as caught:
        require_match(MODEL, found, "runs/a/step-00000010.npz")
    assert str(caught.value).startswith(
        f"runs/a/step-00000010.npz is of another model: {phrase}; resume with"
    )


def test_many_differences_stay_one_line() -> None:
    with pytest.raises(CheckpointError) as caught:
        require_match(MODEL | {f"blocks.{n}.b": (1,) for n in range(9)}, {}, "a.npz")
    said = str(caught.value)
    assert said.count("is missing") == 3 and "and 9 more" in said and "\n" not in said
