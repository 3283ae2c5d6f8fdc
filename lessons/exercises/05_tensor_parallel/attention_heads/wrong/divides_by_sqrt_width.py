"""Takes the width of x for that of a head.

fails: values
says: sqrt(D)
"""
import numpy as np

import minipar as mp


def attention(comm, x, wq, wk, wv, wo):
    y = np.zeros_like(x)
    keep = np.tril(np.ones((len(x), len(x)), bool))
    for q, k, v, o in zip(x @ wq, x @ wk, x @ wv, wo, strict=True):
        scores = np.where(keep, q @ k.T / np.sqrt(x.shape[1]), -np.inf)
        e = np.exp(scores - scores.max(1, keepdims=True))
        y += e / e.sum(1, keepdims=True) @ v @ o
    return mp.all_reduce(comm, y)
