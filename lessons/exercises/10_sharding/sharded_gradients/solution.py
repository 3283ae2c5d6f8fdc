from minipar.comm.collectives import reduce_scatter


def backward(comm, layers, compute):
    """This rank's chunk of the summed gradient of each layer, a list."""
    chunks = [reduce_scatter(comm, compute(layer)) for layer in reversed(range(layers))]
    return chunks[::-1]
