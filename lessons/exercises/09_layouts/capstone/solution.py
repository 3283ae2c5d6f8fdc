import numpy as np

import minipar as mp


def train(comm, tp, x, t, a, b, lr, steps):
    """{"losses": [...], "a": ..., "b": ...} of gradient descent on dp x tp ranks."""
    row = comm.split(comm.rank // tp)                               # tensor parallel
    column = comm.split(comm.rank % tp)                             # data parallel
    count = mp.all_reduce(column, np.array([x.size]))[0]            # numbers in the whole batch
    a, b, losses = a.copy(), b.copy(), []
    for _ in range(steps):
        hidden = x @ a
        y = mp.all_reduce(row, np.maximum(hidden, 0) @ b)
        g = 2 * (y - t) / count
        grad_b = np.maximum(hidden, 0).T @ g
        grad_a = x.T @ ((g @ b.T) * (hidden > 0))
        own = np.concatenate([[((y - t)**2).sum() / count], grad_a.ravel(), grad_b.ravel()])
        total = mp.all_reduce(column, own)
        losses.append(float(total[0]))
        a -= lr * total[1:1 + a.size].reshape(a.shape)
        b -= lr * total[1 + a.size:].reshape(b.shape)
    return {"losses": losses, "a": a, "b": b}
