"""Joins the two ends of the rod, as in a ring.

fails: values
says: ends of the rod
"""
import numpy as np


def step(comm, u):
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    padded = np.zeros(u.size + 2)
    padded[1:-1] = u
    padded[:1] = comm.sendrecv(u[-1:].copy(), right, np.empty(1), left)
    padded[-1:] = comm.sendrecv(u[:1].copy(), left, np.empty(1), right)
    return u + (padded[:-2] - 2 * u + padded[2:]) / 4
