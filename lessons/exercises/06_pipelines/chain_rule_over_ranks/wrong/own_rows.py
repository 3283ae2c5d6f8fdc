"""Divides each micro-batch by its own rows, as a loss function with a mean does.

fails: gradients
says: its own number of rows
"""
import numpy as np


def step(comm, xs, W):
    rank, last = comm.rank, comm.size - 1
    rows, kept, grad = sum(map(len, xs)), [], np.zeros_like(W)
    for x in xs:
        if rank > 0:
            x = comm.recv(np.empty_like(x), rank - 1)
        y = np.tanh(x @ W)
        kept.append((x, y))
        if rank < last:
            comm.send(y, rank + 1)
    for x, y in kept:
        g = comm.recv(np.empty_like(y), rank + 1) if rank < last else y / len(y)
        d = g * (1 - y**2)
        grad += x.T @ d
        if rank > 0:
            comm.send(d @ W.T, rank - 1)
    return {"ys": [y for _, y in kept], "grad W": grad}
