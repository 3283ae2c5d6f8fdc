"""Prunes with Optimal Brain Surgeon (Hassibi and Stork 1993): removes a weight and adapts the other weights.

Let H be the Hessian of the loss. Near a minimum, a change dw of the weights raises the loss by 1/2 dw^T H dw.
Of all changes that make w_i zero, this one has the smallest rise (e_i is the unit vector of weight i):

    dw = -(w_i / [H^-1]_ii) H^-1 e_i                    rise = w_i^2 / (2 [H^-1]_ii)

This rise is at most 1/2 H_ii w_i^2, the rise of Optimal Brain Damage, which does not change the other
weights. For a quadratic loss, both formulas are exact.

The Hessian of a whole network is too large to store. The Hessian of one linear layer is small: for y = x W
and the squared error of y, it is the Gram matrix x^T x, which is the same for every output. Pruning layer by
layer keeps each layer's outputs close to the old outputs (Frantar and Alistarh 2023, SparseGPT). With tensor
parallelism, each rank of a column-parallel layer has all inputs of its outputs. So the result is the same as
on one process. Each rank of a row-parallel layer has only some of the inputs. So if a weight is removed, only
weights of the same rank adapt.
"""

from __future__ import annotations

import numpy as np

from minipar.compress.prune.select import count_of, drop_lowest, require_ratio
from minipar.errors import ConfigError, RangeError, ShapeError

BLOCK = 32  # number of inputs whose weights are compared with each other


def obs(weights: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Returns the scores w_i^2 / (2 [H^-1]_ii), [n]: the rise of the loss if weight i is removed and the
    others adapt. weights: [n]. inverse: the inverse Hessian [n, n].
    """
    rise: np.ndarray = weights**2 / (2 * np.diag(inverse))
    return rise


def obs_remove(weights: np.ndarray, inverse: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Remove the weight `index`. Returns the weights [n], in which this weight is 0 and the others are
    adapted. Also returns the inverse Hessian [n, n] of the remaining weights, with zeros in row and column
    `index`.
    """
    column = inverse[:, index] / inverse[index, index]
    adapted = weights - weights[index] * column
    adapted[index] = 0                                              # exactly zero, without rounding errors
    left = inverse - np.outer(column, inverse[index])
    left[index], left[:, index] = 0, 0
    return adapted, left


def obs_prune(weights: np.ndarray, hessian: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Remove `count` of n weights one after the other. Each time, remove the weight with the lowest score.
    Returns the weights [n] and the total rise of the loss.

    hessian: [n, n], positive definite. Raises ShapeError for any other shape, RangeError for NaN or infinity,
    ConfigError if the Hessian is not positive definite or if count is not from 0 to n.
    """
    n = weights.size
    if hessian.shape != (n, n):
        raise ShapeError(f"{n} weights need a Hessian of shape {(n, n)}; got {hessian.shape}")
    if not 0 <= count <= n:
        raise ConfigError(f"of {n} weights 0 to {n} can be removed, not {count}")
    inverse, here, rise = _inverse(hessian), np.ones(n, bool), 0.0
    for _ in range(count):
        scores = np.full(n, np.inf)
        scores[here] = weights[here] ** 2 / (2 * np.diag(inverse)[here])
        index = int(np.argmin(scores))
        rise += float(scores[index])
        weights, inverse = obs_remove(weights, inverse, index)
        here[index] = False
        weights[~here] = 0
    return weights, rise


def obs_linear(weight: np.ndarray, gram: np.ndarray, ratio: float, *, damping: float = 0.01) -> np.ndarray:
    """Returns a linear layer's weight [I, O] (I inputs, O outputs) with floor(ratio I O) elements set to
    zero. The other elements are adapted, so that the outputs change little.

    gram      x^T x [I, I] for N inputs x [N, I]; sum it over batches, and over the ranks of dp
    damping   a multiple of the identity is added to gram: `damping` times the mean of the diagonal. Without
              it, constant inputs would give a singular matrix

    There is one pass over the inputs. When weights of an input are removed, only the weights of later inputs
    adapt. Raises the errors of obs_prune and drop_lowest.
    """
    require_ratio(ratio)
    inputs, outputs = weight.shape
    if gram.shape != (inputs, inputs):
        raise ShapeError(f"a layer of {inputs} inputs needs a Gram matrix of shape {(inputs, inputs)}; got "
                         f"{gram.shape}")
    gram = gram.astype(np.float64) + damping * np.trace(gram) / max(inputs, 1) * np.eye(inputs)
    upper = np.linalg.cholesky(_inverse(gram)).T  # upper[i, i]^2 = [H^-1]_ii, H only of inputs >= i
    w = weight.astype(np.float64)
    for first in range(0, inputs, BLOCK):
        block = slice(first, min(first + BLOCK, inputs))
        scores = w[block] ** 2 / np.diag(upper)[block, None] ** 2
        go = count_of(ratio, block.stop * outputs) - count_of(ratio, block.start * outputs)
        keep = drop_lowest({"weight": scores}, go / max(scores.size, 1)).keep["weight"]
        for i, stays in zip(range(block.start, block.stop), keep, strict=True):
            w[i:] -= np.outer(upper[i, i:] / upper[i, i], np.where(stays, 0, w[i]))
            w[i, ~stays] = 0
    return w.astype(weight.dtype)


def _inverse(hessian: np.ndarray) -> np.ndarray:
    if not np.isfinite(hessian).all():
        raise RangeError("the Hessian holds NaN or infinity; compute it at finite weights and inputs")
    try:
        np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        raise ConfigError("the Hessian is not positive definite, so the loss has no minimum here; train on, "
                          "or add to its diagonal") from None
    return np.linalg.inv(hessian)
