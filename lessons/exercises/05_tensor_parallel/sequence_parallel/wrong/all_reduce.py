"""Keeps the all-reduce and takes its own tokens of the sum: right, and more bytes than needed.

fails: cost
says: par is
"""
import numpy as np

import minipar as mp
from minipar.comm.collectives import all_gather


def layer(comm, x, a, b, tokens):
    whole = all_gather(comm, x, counts=tokens)
    y = mp.all_reduce(comm, np.maximum(whole @ a, 0) @ b, algorithm="ring")
    first = sum(tokens[:comm.rank])
    return y[first:first + tokens[comm.rank]]
