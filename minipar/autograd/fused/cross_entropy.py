"""Computes softmax and cross-entropy in one op: -log softmax(z)[target], summed over tokens.

The gradient of the sum with respect to the logits is softmax(z) - one_hot(target). So the forward pass
overwrites the exponentials with the gradient. The tape keeps no other array.
"""

# B: samples of the batch, T: tokens per sample, n: all tokens together, v: a shard of V
# V: size of the vocabulary

from __future__ import annotations

import numpy as np

from minipar.arrays import no_array
from minipar.autograd.autocast_hook import castable
from minipar.autograd.capture_hook import capturable
from minipar.autograd.fused.kernels import filled, sum_of_parts
from minipar.autograd.probabilities import require_probabilities
from minipar.autograd.reductions import log_softmax, sum
from minipar.autograd.tensor import Tensor, record
from minipar.errors import DataError, ShapeError

IGNORE = -1  # marks a target that is not counted, for example padding


def tokens_that_count(targets: np.ndarray) -> int:
    """Returns the number of targets that are not ignored. The loss of a global batch [B, T] is divided by
    this number, as with PyTorch's ignore_index.
    """
    return int(np.count_nonzero(targets != IGNORE))


def plain_cross_entropy(logits: Tensor, targets: np.ndarray, divisor: int | None = None) -> Tensor:
    """Defines `cross_entropy` by small ops."""
    counted = np.flatnonzero(targets.reshape(-1) != IGNORE)
    rows = log_softmax(logits)[tuple(np.unravel_index(counted, targets.shape))]
    picked = rows[np.arange(len(counted)), targets.reshape(-1)[counted]]
    return sum(picked) * (-1 / (divisor or len(counted)))


@castable
@capturable
def cross_entropy(logits: Tensor, targets: np.ndarray, divisor: int | None = None) -> Tensor:
    """Returns the sum of the losses of all counted tokens, divided by `divisor`. The result is a scalar in
    nats per token.

    logits: [..., V]. targets: [...], integers from 0 to V - 1, or IGNORE. A token is counted if its target is
    not IGNORE. divisor: the number of counted targets in the whole global batch. If a batch is divided into
    micro-batches or over ranks, every piece divides by the same number, so the sum of the pieces is the loss.
    The default is the number of counted targets in `targets`. Raises ShapeError if there is not one integer
    per row of logits. Raises DataError for a target outside the vocabulary, or if no target is counted.
    Raises RangeError if the largest logit of a counted token is infinite. NaN stays NaN.
    """
    V, shape = logits.shape[-1], logits.shape
    counts, divisor = count_targets(targets, shape[:-1], V, divisor)
    flat = targets.reshape(-1)
    rows, picked = np.arange(len(flat)), np.where(counts, flat, 0)

    z = logits.data.reshape(-1, V)
    z = shifted(z, z.max(axis=-1), counts)                          # [n, V]
    at_target = np.where(counts, z[rows, picked], 0)                # a copy, because z becomes the gradient
    np.exp(z, out=z)
    total = z @ filled(V, 1.0, z.dtype)                             # [n]
    # a product with counts would give NaN for infinity times 0
    loss = sum_of_parts(np.where(counts, np.log(total) - at_target, 0), lambda part: part / divisor)
    z *= (counts / (total * divisor))[:, None].astype(z.dtype, copy=False)
    z[rows, picked] -= (counts / divisor).astype(z.dtype)
    return record(np.asarray(loss, z.dtype), (logits,), lambda g: ((z if g == 1 else z * g).reshape(shape),))


def shifted(z: np.ndarray, largest: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns z [n, v] minus `largest` [n], as a new array. largest: the largest logit of each row, over the
    whole vocabulary. Rows with an ignored target are 0. Raises RangeError if the largest logit of a counted
    token is infinite.
    """
    require_probabilities(np.where(counts, largest, 0), "cross-entropy: the largest logit of the token")
    with np.errstate(invalid="ignore", over="ignore"):  # NaN in ignored rows; -inf for very low logits
        z = z - largest[:, None]
    clear_ignored(z, counts)
    return z


def clear_ignored(z: np.ndarray, counts: np.ndarray) -> None:
    """Set the rows of z [n, v] with an ignored target to 0 in place. So the gradient of an ignored token is
    0. A multiplication by 0 is not enough, because NaN times 0 is NaN. counts: bool [n], True for counted
    targets.
    """
    if not counts.all():
        z[~counts] = 0


def count_targets(targets: np.ndarray, rows: tuple[int, ...], vocabulary: int,
                  divisor: int | None) -> tuple[np.ndarray, int]:
    """Returns a bool array [n] that is True for counted targets, and the divisor of the loss. rows: the shape
    of logits without V. Raises the errors of cross_entropy.
    """
    if text := no_array(targets):
        raise ShapeError(f"cross-entropy: targets are {text}", item="targets")
    if targets.shape != rows or targets.dtype.kind not in "iu":
        raise ShapeError(f"cross-entropy: targets are {targets.dtype} {targets.shape}, the logits need "
                         f"integers {rows}", item="targets")
    if not vocabulary:
        raise ShapeError("cross-entropy: the logits have a vocabulary of 0 tokens", item="vocabulary")
    counts = targets.reshape(-1) != IGNORE
    divisor = tokens_that_count(targets) if divisor is None else divisor
    if not divisor:
        raise DataError(f"cross-entropy: all {targets.size} targets are ignored, so there is no mean; give "
                        "at least one that is not", item="targets")
    if targets.size and not min(IGNORE, 0) <= targets.min() <= targets.max() < vocabulary:
        raise DataError(f"cross-entropy: targets run from {targets.min()} to {targets.max()}, the vocabulary "
                        f"has {vocabulary}", item="vocabulary")
    return counts, divisor
