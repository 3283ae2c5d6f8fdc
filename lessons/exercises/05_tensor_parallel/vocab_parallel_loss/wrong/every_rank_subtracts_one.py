"""Subtracts 1 on every rank, at the target's column modulo its width.

fails: gradients
says: 'grad'
"""
import numpy as np

import minipar as mp


def loss_and_gradient(comm, logits, targets, first):
    n, v = logits.shape
    largest = mp.all_reduce(comm, logits.max(axis=1), "max")
    z = logits - largest[:, None]
    e = np.exp(z)
    column = targets - first
    rows = np.flatnonzero((column >= 0) & (column < v))
    at_target = np.zeros(n)
    at_target[rows] = z[rows, column[rows]]
    total, at_target = mp.all_reduce(comm, np.stack([e.sum(axis=1), at_target]))
    grad = e / total[:, None]
    grad[np.arange(n), column % v] -= 1
    return {"loss": (np.log(total) - at_target).mean(), "grad": grad / n}
