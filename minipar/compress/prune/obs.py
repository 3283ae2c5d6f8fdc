"""Optimal Brain Surgeon (Hassibi and Stork 1993): remove a weight and adapt the others.

Around a minimum the loss rises by 1/2 dw^T H dw. The smallest rise with w_i = 0 comes from

    dw = -(w_i / [H^-1]_ii) H^-1 e_i          and is          w_i^2 / (2 [H^-1]_ii),

which is at most OBD's 1/2 H_ii w_i^2, where the others do not change. On a quadratic loss both are exact.

The Hessian of a whole network is too large. The Hessian of one linear layer is not: for y = x W and the
squared error of y it is the Gram matrix x^T x, the same for every output. Pruning layer by layer keeps each
layer's outputs close to the old ones (Frantar and Alistarh 2023, SparseGPT). Under tensor parallelism a rank
of a column-parallel layer has all inputs, so it prunes its shard as one process would. A rank of a
row-parallel layer has only its own inputs, so only weights of the same rank adapt.
"""

from __future__ import annotations

import numpy as np

from minipar.compress.prune.select import count_of, drop_lowest, require_ratio
from minipar.errors import ConfigError, RangeError, ShapeError

BLOCK = 32  # inputs whose weights are compared with each other


def obs(weights: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """w_i^2 / (2 [H^-1]_ii) for weights [n] and the inverse Hessian [n, n]: the rise of the loss when the
    others adapt.
    """
    rise: np.ndarray = weights**2 / (2 * np.diag(inverse))
    return rise


def obs_remove(weights: np.ndarray, inverse: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """(weights [n] with w_index = 0 and the others adapted; the inverse Hessian [n, n] of the weights that
    are left, zeros elsewhere).
    """
    column = inverse[:, index] / inverse[index, index]
    adapted = weights - weights[index] * column
    adapted[index] = 0                                              # to the last bit
    left = inverse - np.outer(column, inverse[index])
    left[index], left[:, index] = 0, 0
    return adapted, left


def obs_prune(weights: np.ndarray, hessian: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Remove `count` of n weights one by one, always the one of the lowest score; returns the weights [n] and
    the rise.

    hessian: [n, n], positive definite. Raises ShapeError for another shape, RangeError for NaN or infinity,
    ConfigError if it is not positive definite or if count is outside 0 to n.
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
    """A linear layer's weight [I, O] with floor(ratio I O) elements set to zero and the others adapted, so
    that outputs change little.

    gram      x^T x [I, I] of inputs x [N, I]; sum it over batches, and over dp
    damping   this fraction of the diagonal's mean is added to the diagonal, for inputs that never vary

    One pass over the inputs: after an input's weights are chosen, only the weights of later inputs adapt.
    Raises ShapeError, ConfigError and RangeError as obs_prune and drop_lowest.
    """
    require_ratio(ratio)
    inputs, outputs = weight.shape
    if gram.shape != (inputs, inputs):
        raise ShapeError(f"a layer of {inputs} inputs needs a Gram matrix of shape {(inputs, inputs)}; got "
                         f"{gram.shape}")
    gram = gram.astype(np.float64) + damping * np.trace(gram) / max(inputs, 1) * np.eye(inputs)
    upper = np.linalg.cholesky(_inverse(gram)).T  # upper[i, i]^2 = [H^-1]_ii over inputs i..I-1
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
