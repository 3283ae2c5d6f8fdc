"""Sees that something is too large, and divides the sum by the number of ranks.

fails: values
says: divided by the number of ranks
"""
import minipar as mp


def row_parallel(comm, x, w, bias):
    return mp.all_reduce(comm, x @ w + bias) / comm.size
