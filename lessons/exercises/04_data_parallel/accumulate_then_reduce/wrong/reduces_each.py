"""All-reduces after every micro-batch, as a framework does by default.

fails: no deadlock
says: all_reduce
"""
import numpy as np

import minipar as mp


def gradient(comm, w, micro_batches, samples):
    total = np.zeros_like(w)
    for x, y in micro_batches:
        total += mp.all_reduce(comm, 2 * x.T @ (x @ w - y) / samples)
    return total
