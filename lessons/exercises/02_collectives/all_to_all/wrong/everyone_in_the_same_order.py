"""Sends to rank 0, 1, 2, ... in turn and receives in the same order: all wait for one another.

fails: no deadlock
says: waits
"""
import numpy as np


def all_to_all(comm, blocks):
    p, rank = comm.size, comm.rank
    out = blocks.copy()
    for other in range(p):
        if other != rank:
            comm.send(blocks[other], other)
            comm.recv(out[other], other)
    return out
