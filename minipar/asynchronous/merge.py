"""Merges several models into one model by the mean of their weights.

The mean works for models of one training, such as its last checkpoints (Izmailov et al. 2018, "Averaging
weights leads to wider optima"). The mean fails for models with different initial weights, because their
hidden units compute the same functions in another order.

    model a    units (f, g)      mean    ((f + g) / 2, (g + f) / 2): two mixtures
    model b    units (g, f)      but     align(b) = (f, g), and the mean is (f, g)

The units of an MLP can be permuted without changing its output. A permutation changes the columns of the
MLP's first matrix and bias, and the rows of the second matrix. So the units of b are first permuted to the
order of a (Ainsworth et al. 2023, "Git Re-Basin"). The best permutation is the one with the closest weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.arrays import Arrays
from minipar.asynchronous.assignment import assign
from minipar.errors import ShapeError


def average(states: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Returns the mean of each array over the models. The sum is computed in float64. The result has the
    dtype of the first model.

    Raises ShapeError for no model, or for models with different names or shapes.

    >>> average([{"w": np.array([1.0, 2.0])}, {"w": np.array([3.0, 6.0])}])["w"].tolist()
    [2.0, 4.0]
    """
    _require_alike(states)
    return {name: np.mean([state[name] for state in states], axis=0, dtype=np.float64).astype(first.dtype)
            for name, first in states[0].items()}


def order_of_units(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the permutation [H] for which other[order] is closest to `reference`. Both arrays are [H,
    features], with one row per unit.

    >>> order_of_units(np.array([[1.0, 0], [0, 1]]), np.array([[0, 0.9], [1.1, 0]])).tolist()
    [1, 0]
    """
    if reference.shape != other.shape or reference.ndim != 2:
        raise ShapeError(f"units of shape {reference.shape} and {other.shape} cannot be compared")
    return assign(-(reference.astype(np.float64) @ other.astype(np.float64).T))


def align(reference: Arrays, other: Arrays, first: str, second: str) -> dict[str, np.ndarray]:
    """Returns `other` with the hidden units of one MLP in the order of `reference`. The output of the MLP
    does not change.

    first, second: the names of the MLP's layers. Their arrays are `first.weight` [inputs, H], `first.bias`
    [H] (optional) and `second.weight` [H, outputs]. Raises ShapeError for a layer that does not exist.
    """
    _require_alike([reference, other])
    if lacking := [name for name in (f"{first}.weight", f"{second}.weight") if name not in reference]:
        raise ShapeError(f"the models have no {lacking[0]}; they have "
                         f"{', '.join(sorted(reference)[:6])}, ...")
    order = order_of_units(_units(reference, first, second), _units(other, first, second))
    result = dict(other)
    result[f"{first}.weight"] = other[f"{first}.weight"][:, order]
    result[f"{second}.weight"] = other[f"{second}.weight"][order]
    if f"{first}.bias" in other:
        result[f"{first}.bias"] = other[f"{first}.bias"][order]
    return result


def align_gpt(reference: Arrays, other: Arrays) -> dict[str, np.ndarray]:
    """Returns a GPT's state `other` with the hidden units of every MLP in the order of `reference`."""
    for name in reference:
        if name.endswith(".mlp.up.weight"):
            layer = name.removesuffix(".up.weight")
            other = align(reference, other, f"{layer}.up", f"{layer}.down")
    return dict(other)


def _units(state: Arrays, first: str, second: str) -> np.ndarray:
    """Returns all weights of each hidden unit, [H, features]: incoming weights, bias, and outgoing weights.
    """
    arrays = [state[f"{first}.weight"].T, state[f"{second}.weight"]]
    if f"{first}.bias" in state:
        arrays.append(state[f"{first}.bias"][:, None])
    return np.concatenate(arrays, axis=1)


def _require_alike(states: Sequence[Arrays]) -> None:
    if not states:
        raise ShapeError("there is no model to merge")
    shapes = [{name: array.shape for name, array in state.items()} for state in states]
    for number, other in enumerate(shapes[1:], start=1):
        names = sorted(shapes[0].keys() | other)
        if differing := [name for name in names if shapes[0].get(name) != other.get(name)]:
            raise ShapeError(f"models 0 and {number} differ in {differing[0]}: {shapes[0].get(differing[0])} "
                             f"and {other.get(differing[0])}; only models of one shape can be merged")
