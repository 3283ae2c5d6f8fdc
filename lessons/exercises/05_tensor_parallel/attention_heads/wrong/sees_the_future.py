"""Forgets the causal mask: the loss would be too good to be true.

fails: values
says: sees the later ones
"""
import numpy as np

import minipar as mp


def attention(comm, x, wq, wk, wv, wo):
    total = np.zeros_like(x)
    for head in range(len(wq)):
        q, k, v = x @ wq[head], x @ wk[head], x @ wv[head]
        scores = q @ k.T / np.sqrt(wq.shape[-1])
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        total += e / e.sum(axis=1, keepdims=True) @ v @ wo[head]
    return mp.all_reduce(comm, total)
