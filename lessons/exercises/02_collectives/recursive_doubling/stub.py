import numpy as np


def all_reduce(comm, x):
    """The sum of all ranks' x, in the same bits on every rank. x: float64 [n]."""
    raise NotImplementedError("write all_reduce: begin with p = 2, then 4; fold the ranks that are too many")
