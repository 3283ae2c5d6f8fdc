"""Puts the pieces together again: right, and too large for the memory.

fails: cost
says: allocates
"""
import numpy as np

import minipar as mp
from minipar.autograd import cross_entropy


def accumulate(w, pieces):
    x = np.concatenate([x for x, _ in pieces])
    targets = np.concatenate([targets for _, targets in pieces])
    weights = mp.Tensor(w, requires_grad=True)
    loss = cross_entropy(mp.Tensor(x) @ weights, targets)
    mp.backward(loss)
    return {"loss": loss.item(), "grad": weights.grad}
