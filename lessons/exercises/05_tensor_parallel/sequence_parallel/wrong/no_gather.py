"""Leaves the all-gather out: a rank's columns see its own tokens alone.

fails: values
says: own part of the sum
"""
import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def layer(comm, x, a, b, tokens):
    mine = np.zeros((sum(tokens), x.shape[1]))
    first = sum(tokens[:comm.rank])
    mine[first:first + len(x)] = x
    return reduce_scatter(comm, np.maximum(mine @ a, 0) @ b, counts=tokens)
