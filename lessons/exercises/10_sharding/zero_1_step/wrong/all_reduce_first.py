"""Sums up the whole gradient, as without ZeRO, and throws away all but one chunk.

fails: cost
says: bytes; par is
"""
import numpy as np

import minipar as mp
from minipar.comm.collectives import all_gather


def step(comm, w, gradient, momentum, lr):
    chunks = np.array_split(w, comm.size)
    momentum = 0.9 * momentum + np.array_split(mp.all_reduce(comm, gradient), comm.size)[comm.rank]
    own = chunks[comm.rank] - lr * momentum
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), momentum
