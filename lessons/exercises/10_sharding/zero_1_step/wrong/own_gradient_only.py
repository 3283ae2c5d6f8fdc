"""Takes the own chunk of the own gradient: the update needs no communication, it seems.

fails: values
says: own gradient only
"""
import numpy as np

from minipar.comm.collectives import all_gather


def step(comm, w, gradient, momentum, lr):
    chunks = np.array_split(w, comm.size)
    momentum = 0.9 * momentum + np.array_split(gradient, comm.size)[comm.rank]
    own = chunks[comm.rank] - lr * momentum
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), momentum
