"""Forgets that y is a sum over the ranks of a row.

fails: values
says: 'losses
"""
import numpy as np

import minipar as mp


def train(comm, tp, x, t, a, b, lr, steps):
    column = comm.split(comm.rank % tp)
    count = mp.all_reduce(column, np.array([x.size]))[0]
    a, b, losses = a.copy(), b.copy(), []
    for _ in range(steps):
        hidden = x @ a
        y = np.maximum(hidden, 0) @ b
        g = 2 * (y - t) / count
        losses.append(float(mp.all_reduce(column, np.array([((y - t)**2).sum() / count]))[0]))
        grad_b = mp.all_reduce(column, np.maximum(hidden, 0).T @ g)
        grad_a = mp.all_reduce(column, x.T @ ((g @ b.T) * (hidden > 0)))
        a -= lr * grad_a
        b -= lr * grad_b
    return {"losses": losses, "a": a, "b": b}
