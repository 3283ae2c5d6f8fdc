"""Divides by all samples, and then averages over the ranks as well.

fails: values
says: too small as there are ranks
"""
import minipar as mp


def step(comm, w, x, y, lr):
    gradient = 2 * x.T @ (x @ w - y) / (comm.size * len(x))
    return w - lr * mp.all_reduce(comm, gradient) / comm.size
