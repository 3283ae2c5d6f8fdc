"""A small network that sorts points into classes: lesson 09 quantises it, lesson 10 prunes it.

There are CLUSTERS clusters of points, two to each class. They overlap a little, so that no network is always
right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import minipar as mp
from minipar.autograd import cross_entropy, no_grad, relu
from minipar.nn import Linear, Module, Start
from minipar.optim import Optimizer
from minipar.rng import stream

WIDTH, HIDDEN, CLASSES = 16, 48, 5
CLUSTERS = 2 * CLASSES
RATE, BATCH = 3e-3, 128


class Classifier(Module):
    """Three layers: x [n, WIDTH] -> scores [n, CLASSES]."""

    def __init__(self, seed: int, hidden: int = HIDDEN):
        super().__init__("classifier")
        sizes = {"first": (WIDTH, hidden), "second": (hidden, hidden), "third": (hidden, CLASSES)}
        self.layers = [Linear(name, *size, start=Start(std=(2 / size[0]) ** 0.5))
                       for name, size in sizes.items()]
        self.initialise(seed)

    def forward(self, x: mp.Tensor) -> mp.Tensor:
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return self.layers[-1](x)

    def copy(self) -> Classifier:
        """Another one with the same weights."""
        other = Classifier(seed=0)
        other.load_state_dict(self.state_dict())
        return other


def points(seed: int, part: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, WIDTH], float32, and their classes [n]. part: "training" or "test", of the same clusters."""
    centres = stream(seed, "centres").normal(size=(CLUSTERS, WIDTH))
    cluster = stream(seed, "cluster", part).integers(0, CLUSTERS, n)
    x = centres[cluster] + 0.9 * stream(seed, "scatter", part).normal(size=(n, WIDTH))
    return x.astype(np.float32), cluster % CLASSES


def train(model: Module, optimizer: Optimizer, seed: int, steps: int,
          after: Callable[[], None] = lambda: None) -> None:
    """So many steps on batches of 2,000 points, by the optimiser's own count of steps; after() follows each
    of them.
    """
    x, y = points(seed, "training", 2000)
    for _ in range(steps):
        rows = stream(seed, "batch", optimizer.steps).integers(0, len(x), BATCH)
        optimizer.flat.zero_grad()
        mp.backward(cross_entropy(model(mp.Tensor(x[rows])), y[rows]))
        optimizer.step(RATE)
        after()


def accuracy(model: Module, seed: int) -> float:
    """The share of right answers on 4,000 new points."""
    x, y = points(seed, "test", 4000)
    with no_grad():
        return float((model(mp.Tensor(x)).data.argmax(axis=1) == y).mean())
