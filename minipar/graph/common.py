"""Merges common subexpressions: if two nodes compute the same value, only one is kept.

Two nodes are equal if they have the same function, the same attributes and the same inputs. Such nodes
compute the same bits, because no op draws random numbers: a dropout op gets its mask as an input. So two
dropouts are merged only if their masks are equal.

Two equal nodes that communicate are both kept, since other ranks may have different values there. An op that
returns its input unchanged in forward is removed: the readers of its result read its input.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from minipar.graph.communication import communicates
from minipar.graph.graph import OpGraph, OpNode

UNCHANGED = {"copy_to_region": "x"}             # op -> the argument that it returns unchanged in forward


def merge_common(graph: OpGraph) -> OpGraph:
    """Return the graph without duplicate constants and nodes. Its results have the same bits as before.

    >>> import numpy as np
    >>> from minipar.autograd import Tensor, tanh
    >>> from minipar.graph import capture
    >>> graph = capture(lambda x: tanh(x) + tanh(x), Tensor(np.ones(3)))
    >>> [node.op for node in merge_common(graph).nodes]
    ['tanh', 'add']
    """
    renamed = _equal_constants(graph)
    known: dict[tuple[object, str], str] = {}                       # content of a node -> its name
    kept: list[OpNode] = []
    for node in graph.nodes:
        node = node.reading(renamed)
        if node.op in UNCHANGED:
            name = node.arguments[UNCHANGED[node.op]].name
        elif communicates(node):
            name = node.name
        else:
            name = known.setdefault((node.function, repr(node.arguments)), node.name)
        if name == node.name:
            kept.append(node)
        else:
            renamed[node.name] = name
    constants = {name: array for name, array in graph.constants.items() if name not in renamed}
    return replace(graph, constants=constants, nodes=tuple(kept),
                   outputs=tuple(renamed.get(name, name) for name in graph.outputs))


def _equal_constants(graph: OpGraph) -> dict[str, str]:
    """Map the name of a constant to the name of an earlier constant with the same bits.

    Both constants must have the same order in memory, because a product with the other order may have other
    bits.
    """
    renamed: dict[str, str] = {}
    known: dict[object, str] = {}
    for name, array in graph.constants.items():
        digest = hashlib.blake2b(array.tobytes()).digest()          # 0.0 and -0.0 differ
        first = known.setdefault((array.shape, array.strides, array.dtype, digest), name)
        if first != name:
            renamed[name] = first
    return renamed
