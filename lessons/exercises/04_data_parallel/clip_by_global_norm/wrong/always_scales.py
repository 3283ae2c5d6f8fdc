"""Scales short gradients up to the limit, too.

fails: values
says: result
"""
import numpy as np

import minipar as mp


def clip(comm, own, shared, limit):
    norm = np.sqrt(mp.all_reduce(comm, np.array([own @ own]))[0] + shared @ shared)
    return own * limit / norm, shared * limit / norm
