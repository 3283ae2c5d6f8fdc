"""Uses isend, and waits for it in the next line: that is a send.

fails: no deadlock
says: wait
"""
import numpy as np


def train(comm, xs, w):
    gradient, m = 0.0, len(xs)
    if comm.rank == 0:
        comm.wait(comm.isend(xs[0] * w, dest=1))
        for i in range(m):
            if i + 1 < m:
                comm.wait(comm.isend(xs[i + 1] * w, dest=1))
            back = np.empty_like(xs[i])
            comm.recv(back, source=1)
            gradient += back @ xs[i]
    elif comm.rank == 1:
        for x in xs:
            h = np.empty_like(x)
            comm.recv(h, source=0)
            y = h * w
            gradient += y @ h
            comm.wait(comm.isend(y * w, dest=0))
    return gradient
