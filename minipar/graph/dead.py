"""Dead code elimination removes nodes and constants that no output needs.

A node that communicates stays in the graph, since other ranks wait for it.
"""

from __future__ import annotations

from dataclasses import replace

from minipar.graph.communication import communicates
from minipar.graph.graph import OpGraph, OpNode


def remove_dead(graph: OpGraph) -> OpGraph:
    """Return the graph with only the nodes and constants that an output or a message needs. Its results keep
    their bits.

    >>> import numpy as np
    >>> from minipar.autograd import Tensor, exp, tanh
    >>> from minipar.graph import capture
    >>> def forgetful(x):
    ...     unused = exp(exp(x))
    ...     return tanh(x)
    >>> graph = capture(forgetful, Tensor(np.ones(3)))
    >>> [node.op for node in graph.nodes], [node.op for node in remove_dead(graph).nodes]
    (['exp', 'exp', 'tanh'], ['tanh'])
    """
    needed = set(graph.outputs)
    kept: list[OpNode] = []
    for node in reversed(graph.nodes):
        if node.name in needed or communicates(node):
            kept.append(node)
            needed.update(node.inputs)
    constants = {name: array for name, array in graph.constants.items() if name in needed}
    return replace(graph, constants=constants, nodes=tuple(reversed(kept)))
