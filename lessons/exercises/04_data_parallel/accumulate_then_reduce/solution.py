import numpy as np

import minipar as mp


def gradient(comm, w, micro_batches, samples):
    """The gradient of the mean over all samples of all ranks, [d]."""
    total = np.zeros_like(w)
    for x, y in micro_batches:
        total += 2 * x.T @ (x @ w - y) / samples
    return mp.all_reduce(comm, total)
