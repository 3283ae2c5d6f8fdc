"""Averages the micro-batches: a short one counts as much as a long one.

fails: values
says: result
"""
import numpy as np

import minipar as mp


def gradient(comm, w, micro_batches, samples):
    total = np.zeros_like(w)
    for x, y in micro_batches:
        total += 2 * x.T @ (x @ w - y) / len(x)
    return mp.all_reduce(comm, total / len(micro_batches), "mean")
