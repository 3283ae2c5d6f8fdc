"""Divides by all tokens, padding included.

fails: values
says: 'loss'
"""
import numpy as np

import minipar as mp


def mean_loss(comm, losses, gradients, weights):
    own = np.concatenate([[weights @ losses, len(losses)], weights @ gradients])
    total = mp.all_reduce(comm, own)
    return {"loss": total[0] / total[1], "grad": total[2:] / total[1]}
