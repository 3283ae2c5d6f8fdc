"""Defines elementwise functions. Each line of a table has a function and its derivative.

A derivative uses either the input x or the output y. Only this array is kept for backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minipar.autograd.capture_hook import capturable
from minipar.autograd.tensor import Tensor, _pair, record, unbroadcast

Array = np.ndarray


def _of_input(name: str, forward: Callable[[Array], Array],
              derivative: Callable[[Array], Array]) -> Callable[[Tensor], Tensor]:
    def op(a: Tensor) -> Tensor:
        x = a.data
        return record(forward(x), (a,), lambda g: (g * derivative(x),))
    op.__name__ = name
    return capturable(op)


def _of_output(name: str, forward: Callable[[Array], Array],
               derivative: Callable[[Array], Array]) -> Callable[[Tensor], Tensor]:
    def op(a: Tensor) -> Tensor:
        y = forward(a.data)
        return record(y, (a,), lambda g: (g * derivative(y),))
    op.__name__ = name
    return capturable(op)


#                            forward                                   derivative
exp     = _of_output("exp",     np.exp,                                   lambda y: y)
sqrt    = _of_output("sqrt",    np.sqrt,                                  lambda y: 0.5 / y)
tanh    = _of_output("tanh",    np.tanh,                                  lambda y: 1 - y * y)
# this form never overflows
sigmoid = _of_output("sigmoid", lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),   lambda y: y * (1 - y))
log     = _of_input("log",      np.log,                                   lambda x: 1 / x)
relu    = _of_input("relu",     lambda x: np.maximum(x, 0),               lambda x: x.real > 0)
absolute = _of_input("absolute", lambda x: x * np.sign(x.real),           lambda x: np.sign(x.real))

GELU_SCALE, GELU_CUBIC = math.sqrt(2 / math.pi), 0.044715


def plain_gelu(x: Tensor) -> Tensor:
    """Returns x Phi(x), as in GPT-2 (Hendrycks and Gimpel 2016). Phi is the distribution function of the
    standard normal distribution, approximated with tanh. The faster `gelu` (fused/gelu.py) computes the same
    function in one op.
    """
    return 0.5 * x * (1 + tanh(GELU_SCALE * (x + GELU_CUBIC * x * x * x)))


@capturable
def where(condition: Array, a: Any, b: Any) -> Tensor:
    """Returns the elements of `a` where the condition is true, and the elements of `b` elsewhere.

    condition: a bool array of any shape that broadcasts.
    """
    a, b = _pair(a, b)
    a_shape, b_shape = a.shape, b.shape

    def vjp(g: Array) -> tuple[Array, ...]:
        return unbroadcast(np.where(condition, g, 0),
                           a_shape), unbroadcast(np.where(condition, 0, g), b_shape)

    return record(np.where(condition, a.data, b.data), (a, b), vjp)


@capturable
def maximum(a: Any, b: Any) -> Tensor:
    """Returns the larger element of both, or NaN if one of them is NaN. The larger element gets the gradient.
    If both are equal, `a` gets the gradient.
    """
    a, b = _pair(a, b)
    return where((a.data.real >= b.data.real) | np.isnan(a.data), a, b)


@capturable
def dropout(x: Tensor, keep: Array, rate: float) -> Tensor:
    """Returns x / (1 - rate) where `keep` is true, else 0. So the expected value is x (Srivastava et al.
    2014). keep: a bool array with the shape of x.
    """
    scale = keep * np.asarray(1 / (1 - rate), x.dtype)
    return record(x.data * scale, (x,), lambda g: (g * scale,))
