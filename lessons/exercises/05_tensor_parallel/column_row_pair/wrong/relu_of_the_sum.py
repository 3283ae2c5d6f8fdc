"""Applies relu after the sum instead of before the second layer.

fails: values
says: after the second matrix
"""
import numpy as np

import minipar as mp


def forward(comm, x, a, b):
    return np.maximum(mp.all_reduce(comm, x @ a @ b), 0)


def backward(comm, x, a, b, g):
    return mp.all_reduce(comm, g @ b.T @ a.T), x.T @ (g @ b.T), (x @ a).T @ g
