"""Takes nodes that nobody reads, and forgets that then nobody reads their inputs.

fails: values
says: no node reads node
"""
import numpy as np

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}


def optimise(graph, constants, wanted):
    constants, known, renamed = dict(constants), {}, {}
    for name, (op, *inputs) in graph.items():
        node = (op, *(renamed.get(one, one) for one in inputs))
        if all(one in constants for one in node[1:]):
            constants[name] = OPS[op](*(constants[one] for one in node[1:]))
        else:
            renamed[name] = known.setdefault(node, name)
    read = {one for node in known for one in node[1:]} | {wanted}
    return {name: node for node, name in known.items() if name in read}, constants
