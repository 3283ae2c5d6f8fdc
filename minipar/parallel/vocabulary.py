"""Computes softmax and cross-entropy of logits that are sharded over the vocabulary.

Each rank has the logits of some rows of the vocabulary. Two all-reduces, with three numbers per token in
total, replace an all-gather of V logits per token. The first all-reduce finds the largest logit. The second
all-reduce sums the exponentials and the logit of the target. Only one rank has the target, and the other
ranks add zero:

    loss = log(sum over ranks of sum exp(z - m)) - (z_target - m),        m = max over ranks of max z

The gradient, softmax - one_hot, needs only this rank's logits and the sum. So backward has no communication.

Example: two ranks have the logits [0, log 2 | log 5], and the target is 1. Then m = log 5. The ranks' sums
are 1/5 + 2/5 and 1, so the total is 8/5. The logit of the target minus m is log(2/5). The loss is log(8/5) -
log(2/5) = log 4.
"""

# V: size of the vocabulary, v: this rank's shard of V, n: number of tokens (all leading axes together)

from __future__ import annotations

import numpy as np

from minipar.autograd import Tensor, record
from minipar.autograd.capture_hook import capturable
from minipar.autograd.fused.cross_entropy import count_targets, shifted
from minipar.autograd.fused.kernels import sum_of_parts
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator


@capturable
def vocab_parallel_cross_entropy(logits: Tensor, targets: np.ndarray, divisor: int | None, tp: Communicator,
                                 rows: slice, vocabulary: int) -> Tensor:
    """Computes the loss, which is equal on every rank, from this rank's logits. In the notation of
    operators.py: varying -> invariant. There are two all-reduces in forward, and no communication in
    backward.

    logits [..., v]: this rank's part of the logits of the whole vocabulary. rows: this rank's rows of the
    embedding table, which are the same tokens. targets and divisor: the same
    as in autograd's cross_entropy, equal on all ranks. So all ranks raise the same errors.
    """
    shape, flat = logits.shape, targets.reshape(-1)
    counts, divisor = count_targets(targets, shape[:-1], vocabulary, divisor)
    # tokens whose target this rank holds
    here = np.flatnonzero(counts & (flat >= rows.start) & (flat < rows.stop))
    columns = flat[here] - rows.start

    z = logits.data.reshape(-1, shape[-1])                          # [n, v]
    largest = all_reduce(tp, z.max(axis=-1), "max", label="loss max")
    z = shifted(z, largest, counts)
    sums = np.zeros((2, len(flat)), z.dtype)  # row 0: sums of exponentials; row 1: the target's logit
    sums[1, here] = z[here, columns]
    np.exp(z, out=z)
    np.sum(z, axis=-1, out=sums[0])
    total, at_target = all_reduce(tp, sums, label="loss sums")
    loss = sum_of_parts(np.where(counts, np.log(total) - at_target, 0), lambda part: part / divisor)
    z *= (counts / (total * divisor))[:, None]
    z[here, columns] -= z.dtype.type(1 / divisor)
    return record(np.asarray(loss, z.dtype), (logits,), lambda g: ((z * g).reshape(shape),))
