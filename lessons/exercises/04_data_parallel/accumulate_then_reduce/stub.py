import numpy as np

import minipar as mp


def gradient(comm, w, micro_batches, samples):
    """The gradient of the mean over all samples of all ranks, [d]."""
    raise NotImplementedError("write gradient: a sum over micro-batches, then one all-reduce")
