"""Sums the gradient of y, which all ranks have already, in place of that of x.

fails: gradients
says: g is summed
"""
import numpy as np

import minipar as mp


def forward(comm, x, a, b):
    return mp.all_reduce(comm, np.maximum(x @ a, 0) @ b)


def backward(comm, x, a, b, g):
    g = mp.all_reduce(comm, g)
    hidden = x @ a
    grad_hidden = np.where(hidden > 0, g @ b.T, 0)
    return grad_hidden @ a.T, x.T @ grad_hidden, np.where(hidden > 0, hidden, 0).T @ g
