"""Adds up with an all-reduce, and keeps a copy of the own chunk.

fails: cost
says: bytes; par is
"""
import numpy as np

import minipar as mp


def backward(comm, layers, compute):
    chunks = []
    for layer in reversed(range(layers)):
        chunks.append(np.array_split(mp.all_reduce(comm, compute(layer)), comm.size)[comm.rank].copy())
    return chunks[::-1]
