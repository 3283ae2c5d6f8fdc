"""Importance scores for `drop_lowest`: how much the loss rises when a weight becomes zero.

The loss around the trained weights, with w_i set to zero and nothing else changed:

    L(w - w_i e_i) - L(w)  =  -g_i w_i  +  1/2 H_ii w_i^2  -  ...

The magnitude |w_i| does not depend on the loss. 004 (3.1) calls the first term gradient-based: it vanishes at
a minimum, where g = 0, and pruning happens there. The second term is Optimal Brain Damage. If the model
predicts probabilities, the mean of squared gradients (Fisher) is a cheap estimate of H_ii. obs.py also lets
the other weights adapt.

All scores are elementwise: under tensor parallelism each rank scores its own part, and only `drop_lowest`
reduces over tp. 002 (4.2.2) ranks weights by the Hessian's eigenvalues; but these belong to directions, not
to weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from minipar.arrays import Arrays
from minipar.autograd import Tensor, backward
from minipar.errors import DataError
from minipar.nn import Parameter

AnyBatch = TypeVar("AnyBatch")


def first_order(weights: Arrays, gradients: Arrays) -> dict[str, np.ndarray]:
    """|g w| (Mozer and Smolensky 1989; Molchanov et al. 2017). weights, gradients: by name, of the same
    shapes.
    """
    return {name: abs(w * gradients[name]) for name, w in weights.items()}


def obd(weights: Arrays, curvature: Arrays) -> dict[str, np.ndarray]:
    """1/2 H_ii w_i^2, the second-order rise of the loss at a minimum (LeCun, Denker and Solla 1990).

    curvature: the diagonal of the Hessian, by name.
    """
    return {name: 0.5 * curvature[name] * w * w for name, w in weights.items()}


def fisher(weights: Arrays, squares: Arrays) -> dict[str, np.ndarray]:
    """1/2 E[g_i^2] w_i^2 (Theis et al. 2018): obd with the mean of squared gradients, see
    squared_gradients.
    """
    return obd(weights, squares)


def squared_gradients(loss: Callable[[AnyBatch], Tensor], parameters: Sequence[Parameter],
                      batches: Iterable[AnyBatch]) -> dict[str, np.ndarray]:
    """Name -> mean over batches of the squared gradient of loss(batch), a scalar. One sample per batch gives
    the Fisher diagonal; larger batches average gradients before squaring, and the result is smaller.

    Under data parallelism average the result over dp. The parameters' gradients are cleared. Raises DataError
    if there is no batch.
    """
    sums = {p.name: np.zeros_like(p.data) for p in parameters}
    count = 0
    for batch in batches:
        for p in parameters:
            p.zero_grad()
        backward(loss(batch))
        for p in parameters:
            if p.grad is not None:
                sums[p.name] += p.grad * p.grad
        count += 1
    for p in parameters:
        p.zero_grad()
    if not count:
        raise DataError("squared_gradients: no batch was given; pass at least one")
    return {name: total / count for name, total in sums.items()}
