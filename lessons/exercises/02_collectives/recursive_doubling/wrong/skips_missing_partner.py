"""Leaves a round out where there is no partner: some ranks miss a part of the sum.

fails: values
says: rank
"""
import numpy as np


def all_reduce(comm, x):
    total, other, bit = x.copy(), np.empty_like(x), 1
    while bit < comm.size:
        partner = comm.rank ^ bit
        if partner < comm.size:
            comm.sendrecv(total, partner, other, partner)
            total = total + other
        bit *= 2
    return total
