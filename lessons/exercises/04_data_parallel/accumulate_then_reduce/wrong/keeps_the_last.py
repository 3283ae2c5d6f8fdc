"""Overwrites instead of adding: only the last micro-batch counts.

fails: values
says: result
"""
import numpy as np

import minipar as mp


def gradient(comm, w, micro_batches, samples):
    total = np.zeros_like(w)
    for x, y in micro_batches:
        total = 2 * x.T @ (x @ w - y) / samples
    return mp.all_reduce(comm, total)
