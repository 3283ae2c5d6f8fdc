"""Thinks that nothing has to be sent backward, since every rank has g.

fails: gradients
says: the sum of all ranks' parts is right
"""
import numpy as np

import minipar as mp


def forward(comm, x, a, b):
    return mp.all_reduce(comm, np.maximum(x @ a, 0) @ b)


def backward(comm, x, a, b, g):
    hidden = x @ a
    grad_hidden = (g @ b.T) * (hidden > 0)
    return grad_hidden @ a.T, x.T @ grad_hidden, np.maximum(hidden, 0).T @ g
