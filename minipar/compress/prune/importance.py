"""Computes importance scores for `drop_lowest`. A score estimates the rise of the loss when a weight becomes
zero.

If only w_i is set to zero, the loss rises by

    L(w - w_i e_i) - L(w)  =  -g_i w_i  +  1/2 H_ii w_i^2  -  ...

The magnitude |w_i| does not depend on the loss. Document 004 (3.1) calls the first term gradient-based.
Pruning usually happens at a minimum of the loss, where g = 0 and this term is zero. The second term is
Optimal Brain Damage. If the model predicts probabilities, the mean of squared gradients (Fisher) is a cheap
estimate of H_ii. obs.py also adapts the other weights.

All scores are elementwise. With tensor parallelism, each rank scores its own part, and only `drop_lowest`
reduces over tp. Document 002 (4.2.2) ranks weights by the Hessian's eigenvalues, but these belong to
directions, not to weights.
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
    """Returns |g w| (Mozer and Smolensky 1989; Molchanov et al. 2017). weights, gradients: name -> array,
    with the same shapes.
    """
    return {name: abs(w * gradients[name]) for name, w in weights.items()}


def obd(weights: Arrays, curvature: Arrays) -> dict[str, np.ndarray]:
    """Returns 1/2 H_ii w_i^2, the second-order rise of the loss at a minimum (LeCun, Denker and Solla 1990).

    curvature: name -> the diagonal of the Hessian.
    """
    return {name: 0.5 * curvature[name] * w * w for name, w in weights.items()}


def fisher(weights: Arrays, squares: Arrays) -> dict[str, np.ndarray]:
    """Returns 1/2 E[g_i^2] w_i^2 (Theis et al. 2018). This is obd with the mean of squared gradients, see
    squared_gradients.
    """
    return obd(weights, squares)


def squared_gradients(loss: Callable[[AnyBatch], Tensor], parameters: Sequence[Parameter],
                      batches: Iterable[AnyBatch]) -> dict[str, np.ndarray]:
    """Returns name -> mean over batches of the squared gradient. loss(batch): a scalar. With one sample per
    batch, the result is the Fisher diagonal. With larger batches, gradients are averaged before squaring, and
    the result is smaller.

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
