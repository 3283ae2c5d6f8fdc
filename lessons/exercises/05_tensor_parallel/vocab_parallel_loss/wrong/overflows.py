"""Subtracts nothing.

fails: values
says: 'loss'
"""
import numpy as np

import minipar as mp


def loss_and_gradient(comm, logits, targets, first):
    n, v = logits.shape
    with np.errstate(all="ignore"):
        e = np.exp(np.minimum(logits, 700))
        column = targets - first
        rows = np.flatnonzero((column >= 0) & (column < v))
        at_target = np.zeros(n)
        at_target[rows] = logits[rows, column[rows]]
        total, at_target = mp.all_reduce(comm, np.stack([e.sum(axis=1), at_target]))
        grad = e / total[:, None]
        grad[rows, column[rows]] -= 1
        return {"loss": (np.log(total) - at_target).mean(), "grad": grad / n}
