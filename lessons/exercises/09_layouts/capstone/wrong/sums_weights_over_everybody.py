"""Sums the gradients over all ranks, though the ranks of a row have other weights.

fails: runs
says: do not agree
"""
import numpy as np

import minipar as mp


def train(comm, tp, x, t, a, b, lr, steps):
    row = comm.split(comm.rank // tp)
    count = mp.all_reduce(comm, np.array([x.size]))[0] / tp
    a, b, losses = a.copy(), b.copy(), []
    for _ in range(steps):
        hidden = x @ a
        y = mp.all_reduce(row, np.maximum(hidden, 0) @ b)
        g = 2 * (y - t) / count
        losses.append(float(mp.all_reduce(comm, np.array([((y - t)**2).sum() / count]))[0] / tp))
        grad_b = mp.all_reduce(comm, np.maximum(hidden, 0).T @ g)
        grad_a = mp.all_reduce(comm, x.T @ ((g @ b.T) * (hidden > 0)))
        a -= lr * grad_a
        b -= lr * grad_b
    return {"losses": losses, "a": a, "b": b}
