"""Everything through rank 0: right, but rank 0 sends p - 1 messages.

fails: cost
says: of virtual time
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
