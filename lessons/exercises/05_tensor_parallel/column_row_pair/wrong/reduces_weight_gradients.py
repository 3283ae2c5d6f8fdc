"""All-reduces all gradients, as data parallelism does.

fails: runs
says: all_reduce
"""
import numpy as np

import minipar as mp


def forward(comm, x, a, b):
    return mp.all_reduce(comm, np.maximum(x @ a, 0) @ b)


def backward(comm, x, a, b, g):
    hidden = x @ a
    grad_hidden = (g @ b.T) * (hidden > 0)
    grads = grad_hidden @ a.T, x.T @ grad_hidden, np.maximum(hidden, 0).T @ g
    return tuple(mp.all_reduce(comm, grad) for grad in grads)
