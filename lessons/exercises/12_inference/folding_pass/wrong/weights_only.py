"""Folds what reads weights, but a folded node does not count as a constant.

fails: values
says: only constants as inputs
"""
import numpy as np

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}


def optimise(graph, constants, wanted):
    more = {name: OPS[op](*(constants[one] for one in inputs)) for name, (op, *inputs) in graph.items()
            if all(one in constants for one in inputs)}
    known, renamed = {}, {}
    for name, (op, *inputs) in graph.items():
        if name not in more:
            renamed[name] = known.setdefault((op, *(renamed.get(one, one) for one in inputs)), name)
    kept, needed = {}, {wanted}
    for node, name in reversed(known.items()):
        if name in needed:
            kept[name] = node
            needed.update(node[1:])
    return dict(reversed(kept.items())), constants | more
