import numpy as np

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}


def optimise(graph, constants, wanted):
    """(graph, constants) with fewer nodes, which compute the same `wanted`."""
    constants, known, renamed = dict(constants), {}, {}
    for name, (op, *inputs) in graph.items():
        node = (op, *(renamed.get(one, one) for one in inputs))
        if all(one in constants for one in node[1:]):
            constants[name] = OPS[op](*(constants[one] for one in node[1:]))
        else:
            renamed[name] = known.setdefault(node, name)
    kept, needed = {}, {renamed.get(wanted, wanted)}
    for node, name in reversed(known.items()):
        if name in needed:
            kept[name] = node
            needed.update(node[1:])
    return dict(reversed(kept.items())), constants
