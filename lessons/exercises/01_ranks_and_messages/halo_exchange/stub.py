import numpy as np


def step(comm, u):
    """This rank's piece of the rod after one step. u: float64 [n]."""
    raise NotImplementedError("write step: which two numbers are missing on this rank?")
