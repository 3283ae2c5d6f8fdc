"""Returns the sums in the order in which they were computed.

fails: values
says: 'sums'
"""
from minipar.comm.collectives import start_all_reduce


def backward(comm, layers, compute):
    handles = [start_all_reduce(comm, compute(layer)) for layer in reversed(range(layers))]
    return [handle.wait() for handle in handles]
