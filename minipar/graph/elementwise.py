"""Fuses elementwise ops: several ops become one node, which computes a few rows at a time.

Each separate op reads and writes whole arrays. A fused node applies all of its ops to some rows, and then
continues with the next rows. So the intermediate values stay in the cache.

Example: the 9 ops of `plain_gelu` read and write 22 arrays. The fused node reads one array and writes one
array.
"""

# D: length of the last axis

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minipar.autograd import Tensor
from minipar.graph.graph import OpGraph, OpNode
from minipar.graph.references import Ref

ELEMENTWISE = {"add", "sub", "mul", "div", "power", "maximum", "where", "dropout",
               "exp", "log", "sqrt", "tanh", "relu", "absolute", "sigmoid"}
BLOCK = 32 * 1024                                                   # elements of a block of rows


@dataclass(frozen=True, eq=False)  # hashable; equal only to itself
class RowByRow:
    """Implements the function of a fused node. It computes its `nodes` in order. The last node gives the
    result.

    `shape` is the shape [..., D] of the result, and of each input that is read in blocks of rows.
    """

    nodes: tuple[OpNode, ...]
    shape: tuple[int, ...]
    dtype: np.dtype

    def __call__(self, arrays: Sequence[np.ndarray], names: tuple[str, ...]) -> Tensor:
        """Return the result for the inputs `arrays`, which have the names `names` in `nodes`. An input has
        the shape of the result, the shape [D], or the shape ().
        """
        out = np.empty(self.shape, self.dtype).reshape(-1, self.shape[-1])
        inputs = dict(zip(names, arrays, strict=True))
        whole = {name: array for name, array in inputs.items() if array.shape != self.shape}
        rows = {name: array.reshape(out.shape) for name, array in inputs.items() if array.shape == self.shape}
        size = max(1, BLOCK // self.shape[-1])                      # rows of a block
        for start in range(0, len(out), size):
            known = {**whole, **{name: array[start : start + size] for name, array in rows.items()}}
            for node in self.nodes:
                known[node.name] = node.compute(known)
            out[start : start + size] = known[self.nodes[-1].name]
        return Tensor(out.reshape(self.shape))


def fuse_elementwise(graph: OpGraph) -> OpGraph:
    """Return the graph in which connected elementwise ops are one node. Its results have the same bits.

    An op joins a group if all of its readers are in the group, and if the op has the shape of its readers.

    >>> from minipar.autograd import plain_gelu
    >>> from minipar.graph import capture
    >>> graph = capture(plain_gelu, Tensor(np.ones((4, 8))))
    >>> [node.op for node in graph.nodes]
    ['mul', 'mul', 'mul', 'mul', 'add', 'mul', 'tanh', 'add', 'mul']
    >>> [node.op for node in fuse_elementwise(graph).nodes]
    ['elementwise']
    """
    readers: dict[str, list[str]] = {name: ["output"] for name in graph.outputs}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    root: dict[str, str] = {}                                       # node -> the last node of its group
    for node in reversed(graph.nodes):
        if _works_on_rows(graph, node):
            roots = {root.get(reader) for reader in readers.get(node.name, [])}
            last = graph.makers.get(next(iter(roots)) or "") if len(roots) == 1 else None
            root[node.name] = last.name if last and last.shape == node.shape else node.name
    groups: dict[str, list[OpNode]] = {}
    for node in graph.nodes:
        groups.setdefault(root.get(node.name, node.name), []).append(node)
    return replace(graph, nodes=tuple(node if len(groups[node.name]) == 1 else _fused(groups[node.name])
                                      for node in graph.nodes if node.name in groups))


def _works_on_rows(graph: OpGraph, node: OpNode) -> bool:
    """Returns True if the op can compute some rows of its result from the same rows of its inputs."""
    shapes = [graph.size_of(name).shape for name in node.inputs]
    return (node.op in ELEMENTWISE and node.in_rows and node.nbytes > 0 and node.shape != ()
            and all(shape in (node.shape, node.shape[-1:], ()) for shape in shapes))


def _fused(nodes: list[OpNode]) -> OpNode:
    inside = {node.name for node in nodes}
    names = tuple(dict.fromkeys(name for node in nodes for name in node.inputs if name not in inside))
    last = nodes[-1]
    return replace(last, op="elementwise", function=RowByRow(tuple(nodes), last.shape, last.dtype),
                   arguments={"arrays": [Ref(name, tensor=False) for name in names], "names": names},
                   flops=sum(node.flops for node in nodes))
