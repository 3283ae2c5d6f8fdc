"""Removes the sends that hang, and with them a gradient.

fails: values
says: rank
"""
import numpy as np


def train(comm, xs, w):
    gradient, sending = 0.0, []
    if comm.rank == 0:
        for x in xs:
            sending.append(comm.isend(x * w, dest=1))
        for x in xs[1:]:
            back = np.empty_like(x)
            comm.recv(back, source=1)
            gradient += back @ x
    elif comm.rank == 1:
        for i, x in enumerate(xs):
            h = np.empty_like(x)
            comm.recv(h, source=0)
            y = h * w
            gradient += y @ h
            if i:
                sending.append(comm.isend(y * w, dest=0))
    for request in sending:
        comm.wait(request)
    return gradient
