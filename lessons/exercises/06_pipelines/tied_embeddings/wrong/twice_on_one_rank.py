"""Forgets that one rank is both ends: the gradient doubles.

fails: values
says: twice
"""
import numpy as np


def add_tied(comm, gradient):
    last = comm.size - 1
    if 0 < comm.rank < last:
        return gradient.copy()
    other = last - comm.rank
    return gradient + comm.sendrecv(gradient, other, np.empty_like(gradient), other)
