import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def step(comm, w, gradient, momentum, lr):
    """(w [n], this rank's momentum [n_r]) after one step of ZeRO-1."""
    chunks = np.array_split(w, comm.size)
    momentum = 0.9 * momentum + reduce_scatter(comm, gradient)
    own = chunks[comm.rank] - lr * momentum
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), momentum
