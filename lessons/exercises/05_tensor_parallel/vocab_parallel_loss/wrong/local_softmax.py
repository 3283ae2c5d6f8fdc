"""Subtracts the largest logit of its own columns, and sums over all ranks.

fails: values
says: its own largest logit
"""
import numpy as np

import minipar as mp


def loss_and_gradient(comm, logits, targets, first):
    n, v = logits.shape
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    column = targets - first
    rows = np.flatnonzero((column >= 0) & (column < v))
    at_target = np.zeros(n)
    at_target[rows] = z[rows, column[rows]]
    total, at_target = mp.all_reduce(comm, np.stack([e.sum(axis=1), at_target]))
    grad = e / total[:, None]
    grad[rows, column[rows]] -= 1
    return {"loss": (np.log(total) - at_target).mean(), "grad": grad / n}
