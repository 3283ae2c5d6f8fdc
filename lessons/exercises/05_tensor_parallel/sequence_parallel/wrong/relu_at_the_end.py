"""Applies relu to the sum.

fails: values
says: after the second matrix
"""
import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def layer(comm, x, a, b, tokens):
    whole = all_gather(comm, x, counts=tokens)
    return np.maximum(reduce_scatter(comm, whole @ a @ b, counts=tokens), 0)
