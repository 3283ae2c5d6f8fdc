import numpy as np

import minipar as mp


def step(comm, w, x, y, lr):
    """w after one step on the batch of all ranks. w: [d]; x: [n, d]; y: [n]."""
    raise NotImplementedError("write step: the gradient of this rank's samples first")
