"""The first idea: everything through rank 0, which sends and receives one message after the other.

fails: cost
says: time
"""
import numpy as np


def all_reduce(comm, x):
    total = x.copy()
    if comm.rank:
        comm.send(x, 0)
        comm.recv(total, 0)
        return total
    for rank in range(1, comm.size):
        other = np.empty_like(x)
        comm.recv(other, rank)
        total += other
    for rank in range(1, comm.size):
        comm.send(total, rank)
    return total
