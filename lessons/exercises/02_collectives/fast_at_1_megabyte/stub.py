import numpy as np


def all_reduce(comm, x):
    """The sum of all ranks' x. x: float64 [n]."""
    raise NotImplementedError("write all_reduce: first any right one, then a faster one")
