"""Forgets the all-reduce: every rank goes its own way.

fails: values
says: rank
"""


def step(comm, w, x, y, lr):
    gradient = 2 * x.T @ (x @ w - y) / len(x)
    return w - lr * gradient
