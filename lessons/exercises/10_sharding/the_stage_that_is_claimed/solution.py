import numpy as np

from minipar.comm.collectives import all_gather, reduce_scatter


def step(comm, w, gradients, lr):
    """One step of ZeRO-2 (Rajbhandari et al. 2020): gradients and updates are sharded."""
    chunks = np.array_split(w, comm.size)
    total, kept = 0, 0
    for gradient in gradients:
        total = total + reduce_scatter(comm, gradient)
        kept = max(kept, total.size)
    own = chunks[comm.rank] - lr * total
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), kept
