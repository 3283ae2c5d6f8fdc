import numpy as np

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}


def optimise(graph, constants, wanted):
    """(graph, constants) with fewer nodes, which compute the same `wanted`."""
    raise NotImplementedError("write optimise: one pass for each of the three things")
