import numpy as np

from minipar.exercises import Exercise

OPS = {"matmul": np.matmul, "add": np.add, "tanh": np.tanh}
INPUTS = {"matmul": 2, "add": 2, "tanh": 1}


def chain(rng, twins, dead):
    """Weights that can be folded, nodes that are equal (one after the other), and nodes that nobody reads."""
    graph = {"w": ("matmul", "W1", "W2"), "c": ("tanh", "w"), "a": ("matmul", "x", "c")}
    last = "a"
    for number in range(twins):
        graph[f"l{number}"], graph[f"r{number}"] = ("tanh", last), ("tanh", last)
        graph[f"s{number}"] = ("add", f"l{number}", f"r{number}")
        last = f"s{number}"
    for number in range(dead):
        graph[f"d{number}"] = ("tanh", f"d{number - 1}" if number else last)
    return graph, {"W1": rng.standard_normal((4, 4)), "W2": rng.standard_normal((4, 4))}, last


def inputs(ranks, rng, size):
    twins, dead = size
    if twins < 0:                                                   # equal only after their inputs are
        graph = {"a": ("tanh", "x"), "b": ("tanh", "x"), "c": ("tanh", "a"), "d": ("tanh", "b"),
                 "y": ("add", "c", "d")}
        return [(graph, {}, "y")]
    return [chain(rng, twins, dead)]


def values_of(graph, values):
    for name, (op, *names) in graph.items():
        values = values | {name: OPS[op](*(values[one] for one in names))}
    return values


def shape_fault(graph, constants, given):
    """What is wrong with the form of an answer."""
    if not isinstance(graph, dict) or not isinstance(constants, dict) or len(graph) > len(given):
        return "the result is no pair of two dicts with at most as many nodes as before\nreturn (graph, constants)"
    if not all(isinstance(one, np.ndarray) and one.shape == (4, 4) and one.dtype == np.float64
               for one in constants.values()):
        return "a constant is no float64 array of the graph's shapes\nfold with numpy, as in OPS"
    known = {"x", *constants}
    for name, node in graph.items():
        if not isinstance(node, tuple) or not node or not all(isinstance(part, str) for part in node) or \
                len(node) - 1 != INPUTS.get(node[0]):
            return "a node is no tuple (operation, names of its inputs)\nkeep the form of the given nodes"
        if missing := [one for one in node[1:] if one not in known]:
            return f"node {str(name)[:20]!r} reads {missing[0][:20]!r}, which is not there\nwhich node reads a node that you have removed?"
        known.add(name)
    return ""


def judge(ranks, arguments, results):
    given, weights, wanted = arguments[0]
    result = results[0]
    if not isinstance(result, tuple) or len(result) != 2:
        return "the result is no pair\nreturn (graph, constants)"
    graph, constants = result
    if fault := shape_fault(graph, constants, given):
        return fault
    x = np.linspace(-1, 1, 16).reshape(4, 4)
    expected, found = (values_of(nodes, known | {"x": x}).get(wanted)
                       for nodes, known in ((given, weights), (graph, constants)))
    if found is None or not np.allclose(found, expected, rtol=0, atol=1e-12):
        return f"{wanted!r} is not there, or has other values than before\nthe optimised graph must compute the same"
    folded = [name for name, (_, *names) in graph.items() if all(one in constants for one in names)]
    if folded:
        return (
            f"node {folded[0][:20]!r} has only constants as inputs\nfold it: a folded node is a constant, too"
        )
    if len(set(graph.values())) < len(graph):
        return "two nodes are equal\nremove one of them, and let its readers read the other one"
    read = {one for node in graph.values() for one in node[1:]}
    if dead := [name for name in graph if name not in read and name != wanted]:
        return f"no node reads node {dead[0][:20]!r}\ngo through the nodes from the last to the first"
    return ""


EXERCISE = Exercise(
    kind="design", minutes=25, lesson="19", function="optimise", comm="",
    goal="make the graph of a model smaller without changing what it computes",
    cases={"plain": (1, 1), "longer": (3, 3), "nothing is equal": (0, 0), "equal after their inputs": (-1, 0)},
    inputs=inputs, judge=judge, library="minipar/graph/fold.py:fold_constants")
