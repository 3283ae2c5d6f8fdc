"""Three all-reduces, one after the other.

fails: cost
says: messages
"""
import numpy as np

import minipar as mp


def mean_loss(comm, losses, gradients, weights):
    count = mp.all_reduce(comm, np.array([weights.sum()]))[0]
    loss = mp.all_reduce(comm, np.array([weights @ losses]))[0]
    return {"loss": loss / count, "grad": mp.all_reduce(comm, weights @ gradients) / count}
