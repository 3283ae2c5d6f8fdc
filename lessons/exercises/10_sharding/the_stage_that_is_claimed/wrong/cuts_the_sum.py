"""Cuts the own chunk out of the all-reduced gradient: the memory is right, the bytes are not.

fails: cost
says: bytes; par is
"""
import numpy as np

import minipar as mp
from minipar.comm.collectives import all_gather


def step(comm, w, gradients, lr):
    chunks = np.array_split(w, comm.size)
    total, kept = 0, 0
    for gradient in gradients:
        total = total + np.array_split(mp.all_reduce(comm, gradient), comm.size)[comm.rank]
        kept = max(kept, total.size)
    own = chunks[comm.rank] - lr * total
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), kept
