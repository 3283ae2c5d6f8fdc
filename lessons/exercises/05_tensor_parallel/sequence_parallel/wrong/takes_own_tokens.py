"""Cuts out its own tokens, and forgets the sum.

fails: values
says: own part of the sum
"""
import numpy as np

from minipar.comm.collectives import all_gather


def layer(comm, x, a, b, tokens):
    whole = all_gather(comm, x, counts=tokens)
    start = sum(tokens[:comm.rank])
    return (np.maximum(whole @ a, 0) @ b)[start:start + len(x)]
