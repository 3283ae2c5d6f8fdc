"""Sends the last rank's gradient to the first and not back: the copies drift apart.

fails: values
says: rank
"""
import numpy as np


def add_tied(comm, gradient):
    last = comm.size - 1
    if last == 0 or 0 < comm.rank < last:
        return gradient.copy()
    if comm.rank == last:
        comm.send(gradient, 0)
        return gradient.copy()
    other = np.empty_like(gradient)
    comm.recv(other, last)
    return gradient + other
