"""Folds constants: a node that reads only constants is computed once, and its result becomes a constant.

A node that communicates stays in the graph, since other ranks wait for it in every run.
"""

from __future__ import annotations

from dataclasses import replace

from minipar.autograd import no_grad
from minipar.graph.communication import communicates
from minipar.graph.graph import OpGraph, OpNode, read_only


def fold_constants(graph: OpGraph) -> OpGraph:
    """Return the graph without the nodes that depend only on constants. Its results have the same bits as
    before.

    >>> import numpy as np
    >>> from minipar.autograd import Tensor
    >>> from minipar.graph import capture
    >>> a, b, x = (Tensor(np.full((2, 2), float(value))) for value in (1, 2, 3))
    >>> graph = capture(lambda x: x @ (a @ b), x)
    >>> len(graph.nodes), len(fold_constants(graph).nodes)
    (2, 1)
    """
    constants = dict(graph.constants)
    rest: list[OpNode] = []
    with no_grad():
        for node in graph.nodes:
            if all(name in constants for name in node.inputs) and not communicates(node):
                constants[node.name] = read_only(node.compute(constants))
            else:
                rest.append(node)
    return replace(graph, constants=constants, nodes=tuple(rest))
