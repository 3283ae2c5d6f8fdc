"""Forgets that p may be no power of two: a partner does not exist.

fails: runs
says: rank
"""
import numpy as np


def all_reduce(comm, x):
    total, other, bit = x.copy(), np.empty_like(x), 1
    while bit < comm.size:
        comm.sendrecv(total, comm.rank ^ bit, other, comm.rank ^ bit)
        total = total + other
        bit *= 2
    return total
