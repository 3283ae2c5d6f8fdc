"""Updates its own chunk in a copy of w, and forgets that the others need it.

fails: values
says: the change of w has only the rank's own part
"""
import numpy as np

from minipar.comm.collectives import reduce_scatter


def step(comm, w, gradient, momentum, lr):
    w = w.copy()
    momentum = 0.9 * momentum + reduce_scatter(comm, gradient)
    np.array_split(w, comm.size)[comm.rank][...] -= lr * momentum
    return w, momentum
