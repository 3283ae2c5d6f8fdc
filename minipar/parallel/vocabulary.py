"""Softmax and cross-entropy over logits that nobody holds whole.

Each rank has the columns of some rows of the vocabulary. Two small messages per token stand in for V logits:
the largest logit, and then together the sum of exponentials and the logit of the target (which one rank has,
the others add zero):

    loss = log(sum over ranks of sum exp(z - m)) - (z_target - m),        m = max over ranks of max z

The gradient, softmax - one_hot, needs only this rank's columns and the sum, so backward communicates nothing.
"""

# V vocabulary, v this rank's share of it, n tokens (all leading axes together)

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.autograd.fused.cross_entropy import count_targets, shifted
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator


def vocab_parallel_cross_entropy(logits: Tensor, targets: np.ndarray, divisor: int | None, tp: Communicator,
                                 rows: slice, vocabulary: int) -> Tensor:
    """V -> I: this rank's columns of the logits to the loss, the same on every rank; two all-reduces forward,
    none backward.

    logits [..., v]: the columns `rows` of the whole logits [..., vocabulary]. targets and tokens as in
    autograd's cross_entropy, and alike on all ranks; so are the errors.
    """
    shape, flat = logits.shape, targets.reshape(-1)
    counts, divisor = count_targets(targets, shape[:-1], vocabulary, divisor)
    # tokens whose target this rank holds
    here = np.flatnonzero(counts & (flat >= rows.start) & (flat < rows.stop))
    columns = flat[here] - rows.start

    z = logits.data.reshape(-1, shape[-1])                          # [n, v]
    largest = all_reduce(tp, z.max(axis=-1), "max", label="loss max")
    z = shifted(z, largest, counts)
    sums = np.zeros((2, len(flat)), z.dtype)  # of exponentials, and of the target's logit
    sums[1, here] = z[here, columns]
    np.exp(z, out=z)
    np.sum(z, axis=-1, out=sums[0])
    total, at_target = all_reduce(tp, sums, label="loss sums")
    loss = np.where(counts, np.log(total) - at_target, 0).sum() / divisor
    z *= (counts / (total * divisor))[:, None]
    z[here, columns] -= z.dtype.type(1 / divisor)
    return record(np.asarray(loss, z.dtype), (logits,), lambda g: ((z * g).reshape(shape),))
