from minipar.comm.collectives import start_all_reduce


def backward(comm, layers, compute):
    """The summed gradient of every layer, computed from the last to the first."""
    handles = {}
    for layer in reversed(range(layers)):
        handles[layer] = start_all_reduce(comm, compute(layer))
    return [handles[layer].wait() for layer in range(layers)]
