"""Gives each rank a seed of its own, but another one.

fails: values
says: result
"""
import numpy as np

import minipar as mp


def train(comm, x, y, steps):
    w = np.random.default_rng([comm.rank, 12345]).standard_normal(x.shape[1])
    samples = mp.all_reduce(comm, np.array([len(x)]))[0]
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / samples
        w = w - 0.05 * mp.all_reduce(comm, gradient)
    return w
