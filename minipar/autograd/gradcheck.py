"""Checks a gradient element by element with numeric derivatives of the function.

The derivative along a direction d is compared with central differences of fourth order,

    (8 [f(x + h d) - f(x - h d)] - [f(x + 2h d) - f(x - 2h d)]) / 12 h  = f'(x) d + O(h^4).

There is one comparison for every element of every input, where d is a unit vector. One more comparison uses a
random direction through all inputs together. In float64 with h = 3e-4, the error of the formula is about
1e-11 of the function's scale. The error is larger if the function is strongly curved, for example behind a
LayerNorm of a few numbers that are nearly equal. In this case smaller h are tried, too. The error of the
formula becomes smaller with h, but the error of a wrong gradient does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from minipar.autograd.engine import backward
from minipar.autograd.tape import no_grad
from minipar.autograd.tensor import Tensor
from minipar.errors import ShapeError

H, SMALLER = 3e-4, (1e-4, 3e-5)
DOUBT = 1e-8  # if the relative error is larger, smaller h are tried, too


@dataclass(frozen=True)
class GradientCheck:
    """Describes the element with the largest error in the gradient of one input. index is None for the random
    direction.

    error: |exact - numeric|, divided by the largest of |exact|, |numeric| and the root mean square of the
    gradient.
    """

    name: str
    index: tuple[int, ...] | None
    exact: float
    numeric: float
    error: float

    def __str__(self) -> str:
        element = self.name if self.index is None else f"{self.name}[{', '.join(map(str, self.index))}]"
        return (f"{element}: backward says {self.exact:.12g}, differences say {self.numeric:.12g}, relative "
                f"error {self.error:.1e}")


def gradcheck(function: Callable[[], Tensor], inputs: Mapping[str, Tensor],
              seed: int = 0) -> list[GradientCheck]:
    """Returns one GradientCheck for the worst element of each input, and then one for a random direction.

    function: has no arguments, uses the inputs, and returns a scalar Tensor. inputs: name -> leaf of dtype
    float64. Their values do not change, and their gradients are cleared. The function is called four times
    per element, and more often for an element with a large error. Raises ShapeError for an input that is not
    float64.

    >>> import numpy as np, minipar as mp
    >>> x = mp.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> checks = mp.gradcheck(lambda: (x * x * x)[0], {"x": x})
    >>> [check.error < 1e-9 for check in checks]                # one for x, one for a random direction
    [True, True]
    """
    for name, leaf in inputs.items():
        if leaf.dtype != np.float64:
            raise ShapeError(f"gradcheck: {name} is {leaf.dtype}; differences need float64", item=name)
        leaf.zero_grad()
    backward(function())
    exact = {name: np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.copy()
             for name, leaf in inputs.items()}
    for leaf in inputs.values():
        leaf.zero_grad()
    checks = [_worst_element(function, name, leaf, exact[name]) for name, leaf in inputs.items()]
    return [*checks, _random_direction(function, inputs, exact, np.random.default_rng(seed))]


def _difference(function: Callable[[], Tensor], leaves: list[Tensor], directions: list[np.ndarray],
                h: float = H) -> float:
    """Returns the derivative of the function along the directions, computed by differences."""
    origins = [leaf.data for leaf in leaves]

    def value(h: float) -> float:
        for leaf, origin, direction in zip(leaves, origins, directions, strict=True):
            leaf.data = origin + h * direction
        with no_grad():
            return function().item()

    try:
        return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    finally:
        for leaf, origin in zip(leaves, origins, strict=True):
            leaf.data = origin


def _nearest(function: Callable[[], Tensor], leaves: list[Tensor], directions: list[np.ndarray], exact: float,
             found: float) -> float:
    """Returns the numeric derivative that is nearest to `exact`, the derivative from backward. The candidates
    are `found` and the differences with a smaller h.
    """
    again = [_difference(function, leaves, directions, h) for h in SMALLER]
    return min([found, *again], key=lambda numeric: float(_nan_is_worst(abs(numeric - exact))))


def _worst_element(function: Callable[[], Tensor], name: str, leaf: Tensor,
                   exact: np.ndarray) -> GradientCheck:
    if not exact.size:
        return GradientCheck(name, None, 0.0, 0.0, 0.0)
    numeric = np.empty(leaf.shape)
    for index in np.ndindex(leaf.shape):
        numeric[index] = _difference(function, [leaf], [_unit(leaf.shape, index)])
    for index in map(tuple, np.argwhere(_errors(exact, numeric) > DOUBT)):
        numeric[index] = _nearest(function, [leaf], [_unit(leaf.shape, index)], exact[index], numeric[index])
    errors = _errors(exact, numeric)
    worst = np.unravel_index(np.argmax(errors), leaf.shape)
    index = tuple(int(i) for i in worst)
    return GradientCheck(name, index, float(exact[worst]), float(numeric[worst]), float(errors[worst]))


def _unit(shape: tuple[int, ...], index: tuple[int, ...]) -> np.ndarray:
    unit = np.zeros(shape)
    unit[index] = 1
    return unit


def _errors(exact: np.ndarray, numeric: np.ndarray) -> np.ndarray:
    """Returns errors relative to the element, or to the root mean square of all elements if this is larger.
    """
    typical = np.sqrt(np.mean(numeric**2))
    scale = np.maximum(np.maximum(abs(exact), abs(numeric)), max(typical, np.finfo(float).tiny))
    return _nan_is_worst(abs(exact - numeric) / scale)


def _random_direction(function: Callable[[], Tensor], inputs: Mapping[str, Tensor],
                      exact: Mapping[str, np.ndarray], rng: np.random.Generator) -> GradientCheck:
    directions = [rng.standard_normal(leaf.shape) for leaf in inputs.values()]
    length = np.sqrt(sum(float((d * d).sum()) for d in directions)) or 1.0
    directions = [d / length for d in directions]
    said = sum(float((gradient * d).sum()) for gradient, d in zip(exact.values(), directions, strict=True))
    found = _nearest(function, list(inputs.values()), directions, said,
                     _difference(function, list(inputs.values()), directions))
    scale = max(abs(said), abs(found), np.finfo(float).tiny)
    return GradientCheck("random direction", None, said, found,
                         float(_nan_is_worst(abs(said - found) / scale)))


def _nan_is_worst(errors: np.ndarray | float) -> np.ndarray:
    """Replaces NaN by infinity, which is larger than any bound. A comparison with NaN is always false."""
    return np.where(np.isnan(errors), np.inf, errors)
