"""Adds up the micro-batches first, and shards the sum once: ZeRO-1.

fails: values
says: keeps all numbers of the gradient
"""
import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def step(comm, w, gradients, lr):
    chunks = np.array_split(w, comm.size)
    total, kept = 0, 0
    for gradient in gradients:
        total = total + gradient
        kept = max(kept, total.size)
    own = chunks[comm.rank] - lr * reduce_scatter(comm, total)
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), kept
