"""Divides by its own row's samples, and averages: wrong where rows have different numbers.

fails: values
says: 'losses
"""
import numpy as np

import minipar as mp


def train(comm, tp, x, t, a, b, lr, steps):
    row, column = comm.split(comm.rank // tp), comm.split(comm.rank % tp)
    a, b, losses = a.copy(), b.copy(), []
    for _ in range(steps):
        hidden = x @ a
        y = mp.all_reduce(row, np.maximum(hidden, 0) @ b)
        g = 2 * (y - t) / x.size
        losses.append(float(mp.all_reduce(column, np.array([((y - t)**2).mean()]), "mean")[0]))
        grad_b = mp.all_reduce(column, np.maximum(hidden, 0).T @ g, "mean")
        grad_a = mp.all_reduce(column, x.T @ ((g @ b.T) * (hidden > 0)), "mean")
        a -= lr * grad_a
        b -= lr * grad_b
    return {"losses": losses, "a": a, "b": b}
