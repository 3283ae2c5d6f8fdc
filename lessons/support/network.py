"""A network so small that its whole Hessian can be had, for lesson 11: 63 weights, and 500 points in three
classes.
"""

from __future__ import annotations

import numpy as np

import minipar as mp
from minipar.autograd import cross_entropy, hessian_vector_product, no_grad, tanh
from minipar.autograd import sum as sum_of
from minipar.compress.prune import squared_gradients
from minipar.nn import Linear, Module, Start
from minipar.optim import Adam, Flat, cosine
from minipar.rng import stream

POINTS, FEATURES, HIDDEN, CLASSES = 500, 6, 6, 3
DECAY = 0.002


class SmallNetwork(Module):
    """x [n, FEATURES] -> scores [n, CLASSES], in float64."""

    def __init__(self) -> None:
        super().__init__("net")
        self.hidden = Linear("hidden", FEATURES, HIDDEN, start=Start(std=FEATURES**-0.5))
        self.out = Linear("out", HIDDEN, CLASSES, start=Start(std=HIDDEN**-0.5))
        self.initialise(0, np.float64)

    def forward(self, x: mp.Tensor) -> mp.Tensor:
        return self.out(tanh(self.hidden(x)))


class Landscape:
    """The loss of a Network on its points, as a function of its weights [63], all in one array."""

    def __init__(self) -> None:
        self.net = SmallNetwork()
        self.flat = Flat(self.net.parameters())
        self.y = stream(0, "class").integers(0, CLASSES, POINTS)
        centres = 0.7 * stream(0, "centres").normal(size=(CLASSES, FEATURES))
        self.x = centres[self.y] + stream(0, "scatter").normal(size=(POINTS, FEATURES))

    @property
    def weights(self) -> np.ndarray:
        """As they are now; a copy."""
        return self.flat.data.copy()

    def loss(self) -> mp.Tensor:
        """With some weight decay, so that there is one lowest point."""
        fit = cross_entropy(self.net(mp.Tensor(self.x)), self.y)
        for p in self.net.parameters():
            fit = fit + 0.5 * DECAY * sum_of(p * p)
        return fit

    def value(self, weights: np.ndarray) -> float:
        """The loss at other weights."""
        here = self.weights
        self.flat.data[...] = weights
        with no_grad():
            found = self.loss().item()
        self.flat.data[...] = here
        return found

    def gradient(self) -> np.ndarray:
        self.flat.zero_grad()
        mp.backward(self.loss())
        return self.flat.gradient().copy()

    def hessian_times(self, vector: np.ndarray) -> np.ndarray:
        vectors = self.flat.by_name(vector)
        products = hessian_vector_product(self.loss, self.flat.parameters,
                                          [vectors[p.name] for p in self.flat.parameters])
        return np.concatenate([product.reshape(-1) for product in products])

    def fisher_diagonal(self) -> np.ndarray:
        """The mean over points of the squared gradient, the weight decay left out."""
        squares = squared_gradients(lambda i: cross_entropy(self.net(mp.Tensor(self.x[i : i + 1])),
                                                            self.y[i : i + 1]),
                                    self.flat.parameters, range(POINTS))
        return np.concatenate([squares[p.name].reshape(-1) for p in self.flat.parameters])

    def train(self, steps: int) -> None:
        optimizer, rate = Adam(self.flat), cosine(0.02, 1e-5, steps)
        for number in range(steps):
            self.gradient()
            optimizer.step(rate(number))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of ranks: 1 if both put the weights into the same order."""
    ranks = [np.argsort(np.argsort(scores)) for scores in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])
