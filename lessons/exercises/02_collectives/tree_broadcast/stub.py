import numpy as np


def broadcast(comm, x, root):
    """The root's x on every rank. x: float64 [n]."""
    raise NotImplementedError(
        "write broadcast: count the ranks from the root; who has the array after round k?"
    )
