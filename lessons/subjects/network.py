"""A network so small that its whole Hessian can be had, for lesson 11: 63 weights, and 500 points in three classes."""

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, tanh
from minipar.nn import Linear, Module, Start
from minipar.rng import stream

FEATURES, HIDDEN, CLASSES = 6, 6, 3


class Network(Module):
    """x [n, FEATURES] -> scores [n, CLASSES], in float64."""

    def __init__(self) -> None:
        super().__init__("net")
        self.hidden = Linear("hidden", FEATURES, HIDDEN, start=Start(std=FEATURES**-0.5))
        self.out = Linear("out", HIDDEN, CLASSES, start=Start(std=HIDDEN**-0.5))
        self.initialise(0, np.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(tanh(self.hidden(x)))


def points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, FEATURES] around the centre of their class, and the classes [n]."""
    y = stream(0, "class").integers(0, CLASSES, n)
    return 0.7 * stream(0, "centres").normal(size=(CLASSES, FEATURES))[y] + stream(0, "scatter").normal(size=(n, FEATURES)), y
