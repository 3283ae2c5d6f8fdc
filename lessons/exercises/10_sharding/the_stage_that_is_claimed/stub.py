import numpy as np

import minipar as mp
from minipar.comm.collectives import all_gather, reduce_scatter


def step(comm, w, gradients, lr):
    """One step of ZeRO-2 (Rajbhandari et al. 2020): gradients and updates are sharded."""
    chunks = np.array_split(w, comm.size)
    total, kept = 0, 0
    for gradient in gradients:
        total = total + mp.all_reduce(comm, gradient)
        kept = max(kept, total.size)
    own = chunks[comm.rank] - lr * np.array_split(total, comm.size)[comm.rank]
    return all_gather(comm, own, counts=[chunk.size for chunk in chunks]), kept
