import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def step(comm, w, gradient, momentum, lr):
    """(w [n], this rank's momentum [n_r]) after one step of ZeRO-1."""
    raise NotImplementedError("write step: which chunk of the summed gradient does this rank need?")
