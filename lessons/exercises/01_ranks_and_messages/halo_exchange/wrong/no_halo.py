"""Treats the ends of a piece as the ends of the rod.

fails: values
says: do not know their neighbours
"""
import numpy as np


def step(comm, u):
    padded = np.zeros(u.size + 2)
    padded[1:-1] = u
    return u + (padded[:-2] - 2 * u + padded[2:]) / 4
