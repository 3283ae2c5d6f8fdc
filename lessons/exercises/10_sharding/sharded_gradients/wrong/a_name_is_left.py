"""Computes the next gradient while a variable still refers to the last one.

fails: values
says: still there when the next one
"""
from minipar.comm.collectives import reduce_scatter


def backward(comm, layers, compute):
    chunks = []
    for layer in reversed(range(layers)):
        gradient = compute(layer)
        chunks.append(reduce_scatter(comm, gradient))
    return chunks[::-1]
