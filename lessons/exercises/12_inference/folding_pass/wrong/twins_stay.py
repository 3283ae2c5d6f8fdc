"""Folds and removes dead nodes, but keeps what is computed twice.

fails: values
says: two nodes are equal
"""
import numpy as np

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}


def optimise(graph, constants, wanted):
    constants, kept, needed = dict(constants), {}, {wanted}
    for name, (op, *inputs) in graph.items():
        if all(one in constants for one in inputs):
            constants[name] = OPS[op](*(constants[one] for one in inputs))
    for name, node in reversed(graph.items()):
        if name in needed and name not in constants:
            kept[name] = node
            needed.update(node[1:])
    return dict(reversed(kept.items())), constants
