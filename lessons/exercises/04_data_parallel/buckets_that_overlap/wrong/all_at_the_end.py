"""Computes everything, and sends it all at the end.

fails: values
says: beyond par
"""
from minipar.comm.collectives import start_all_reduce


def backward(comm, layers, compute):
    gradients = {layer: compute(layer) for layer in reversed(range(layers))}
    handles = {layer: start_all_reduce(comm, gradients[layer]) for layer in reversed(range(layers))}
    return [handles[layer].wait() for layer in range(layers)]
