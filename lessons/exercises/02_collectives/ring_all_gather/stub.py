import numpy as np


def all_gather(comm, piece, lengths):
    """Every rank's piece, in the order of the ranks. piece: float64 [lengths[rank]]."""
    raise NotImplementedError("write all_gather: which piece arrives in step s?")
