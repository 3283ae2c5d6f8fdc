"""Computes importance scores for `drop_lowest`. A score estimates how much the loss rises if a weight becomes
zero.

Let g be the gradient of the loss L, and H its Hessian. If only the weight w_i is set to zero, the loss rises
by

    L(w - w_i e_i) - L(w)  =  -g_i w_i  +  1/2 H_ii w_i^2  -  ...

The simplest score is the magnitude |w_i|, which does not depend on the loss. Course document 004 (3.1) calls
the first term gradient-based. But pruning usually happens at a minimum of the loss, where g = 0, so the first
term is zero. The second term is the score of Optimal Brain Damage. If the model predicts probabilities, the
mean of squared gradients (Fisher) is a cheap estimate of H_ii. obs.py also changes the other weights to
reduce the loss.

The score of a weight needs no other weights. With tensor parallelism, each rank scores its own shard, and
only `drop_lowest` reduces over tp. Course document 002 (4.2.2) sorts weights by the eigenvalues of the
Hessian. But an eigenvalue belongs to a direction, not to a weight.
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
    """Returns the scores |g w| by name (Mozer and Smolensky 1989; Molchanov et al. 2017). weights, gradients:
    name -> array, with the same shapes.
    """
    return {name: abs(w * gradients[name]) for name, w in weights.items()}


def obd(weights: Arrays, curvature: Arrays) -> dict[str, np.ndarray]:
    """Returns the scores 1/2 H_ii w_i^2 by name: the rise of the loss near a minimum, to second order (LeCun,
    Denker and Solla 1990, "Optimal Brain Damage").

    curvature: name -> the diagonal of the Hessian.
    """
    return {name: 0.5 * curvature[name] * w * w for name, w in weights.items()}


def fisher(weights: Arrays, squares: Arrays) -> dict[str, np.ndarray]:
    """Returns the scores 1/2 E[g_i^2] w_i^2 by name (Theis et al. 2018). This is `obd` with the mean of
    squared gradients instead of H_ii. squares: the result of squared_gradients.
    """
    return obd(weights, squares)


def squared_gradients(loss: Callable[[AnyBatch], Tensor], parameters: Sequence[Parameter],
                      batches: Iterable[AnyBatch]) -> dict[str, np.ndarray]:
    """Returns name -> mean over batches of the squared gradient. loss(batch): a scalar. If each batch has one
    sample, the result is the diagonal of the Fisher matrix. In larger batches, gradients are averaged before
    they are squared, so the result is smaller.

    With data parallelism, average the result over dp. The parameters' gradients are cleared. Raises DataError
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
