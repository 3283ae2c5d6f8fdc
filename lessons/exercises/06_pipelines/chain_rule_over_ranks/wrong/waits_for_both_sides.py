"""Does forward and backward of a micro-batch on each rank before it sends: rank 0 waits for rank 1, and rank 1 for rank 0.

fails: no deadlock
says: wait
"""
import numpy as np


def step(comm, xs, W):
    rank, last = comm.rank, comm.size - 1
    rows, ys, grad = sum(map(len, xs)), [], np.zeros_like(W)
    for x in xs:
        if rank > 0:
            x = comm.recv(np.empty_like(x), rank - 1)
        y = np.tanh(x @ W)
        ys.append(y)
        g = comm.recv(np.empty_like(y), rank + 1) if rank < last else y / rows
        if rank < last:
            comm.send(y, rank + 1)
        d = g * (1 - y**2)
        grad += x.T @ d
        if rank > 0:
            comm.send(d @ W.T, rank - 1)
    return {"ys": ys, "grad W": grad}
