"""Compares the gradient of one process with differences of its loss.

The layout and the reference use the same backward formulas. A wrong formula changes both in the same way, so
a comparison of the two cannot detect it. Differences of the loss do not use any backward formula.

The loss L is computed at weights w + h d, where d is a random direction of length 1. Then

    (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / (12 h)

is the derivative along d with an error of order h^4. It must be equal to gradient . d.
"""

# n: number of elements of all parameters

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from minipar.autograd import backward, no_grad
from minipar.comm.solo import solo
from minipar.config import Layout
from minipar.nn import SERIAL, Dropout
from minipar.optim import Flat
from minipar.parallel.grid import Grid
from minipar.proof.case import Case, make_trainer
from minipar.rng import stream

STEPS_H = (1e-3, 1e-4, 1e-5)  # a smaller h has a smaller truncation error, and a larger rounding error
LIMIT = 1e-6  # the largest allowed error, relative to the root mean square of a derivative along a direction


def wrong_derivative(case: Case) -> str:
    """Describes the parameter whose gradient differs most from differences of the loss. Returns "" if all
    gradients are right. The model has the sizes of the case, in float64, on one process.
    """
    single = case.single_process()
    single = replace(single, train=replace(single.train, dtype="float64"), layout=Layout())
    trainer = make_trainer(single, "SGD", Grid(solo(), single.layout), SERIAL)
    inputs, targets = trainer.batches.get(0)
    dropout = Dropout(single.model.dropout, single.train.seed, 0, np.arange(len(inputs)))
    flat, (model,) = trainer.flat, trainer.stages.models
    backward(model.loss(inputs, targets, dropout=dropout))
    gradient = flat.gradient().copy()

    def loss() -> float:
        with no_grad():
            return model.loss(inputs, targets, dropout=dropout).item()

    direction = stream(case.train.seed, "direction").standard_normal(len(gradient))                   # [n]
    direction /= np.linalg.norm(direction)
    if _error(flat, loss, gradient, direction) <= LIMIT:
        return ""
    errors = {}
    for p, span in zip(flat.parameters, flat.slices, strict=True):
        part = np.zeros_like(direction)
        part[span] = direction[span] / np.linalg.norm(direction[span])
        errors[p.name] = _error(flat, loss, gradient, part)
    worst = max(errors, key=lambda name: errors[name])
    return f"gradient of {worst}, {errors[worst]:.1e} from differences of the loss"


def _error(flat: Flat, loss: Callable[[], float], gradient: np.ndarray, direction: np.ndarray) -> float:
    """Returns the difference between gradient . direction and the derivative of the loss. The difference is
    relative to the root mean square of the derivatives along all directions of this length.
    """
    origin, said = flat.data.copy(), float(gradient @ direction)
    moved = direction != 0
    typical = float(np.linalg.norm(gradient[moved])) / math.sqrt(np.count_nonzero(moved))

    def at(h: float) -> float:
        np.add(origin, h * direction, out=flat.data)
        return loss()

    smallest = math.inf
    for h in STEPS_H:
        found = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        smallest = min(smallest, abs(said - found) / max(typical, np.finfo(np.float64).tiny))
        if smallest <= LIMIT:
            break
    flat.data[...] = origin
    return smallest
