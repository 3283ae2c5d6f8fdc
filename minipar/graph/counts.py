"""Counts the FLOPs of a node, and the bytes that it reads and writes.

A multiply-add of a product counts as 2 FLOPs, as in `minipar.plan.counts`. Attention counts every pair of a
query and a key. Each other operation counts as 1 FLOP for every element to which it is applied. This includes
exp and tanh. Ops that only move values have 0 FLOPs.

The bytes are the sizes of the output and of all inputs. An input that is used twice counts once. An op that
returns a view of its input moves no bytes. A look-up reads only the rows that it needs, not the whole table.
"""

# I: number of inputs, O: number of outputs, D: model width, V: size of the vocabulary

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minipar.graph.graph import OpGraph, OpNode

Shape = tuple[int, ...]

# op -> operations per element of the first input or of the result, whichever has more elements
PER_ELEMENT = {
    "add": 1, "sub": 1, "mul": 1, "div": 1, "power": 1, "maximum": 1, "where": 1, "dropout": 1,
    "exp": 1, "log": 1, "sqrt": 1, "tanh": 1, "relu": 1, "absolute": 1, "sigmoid": 4,
    "sum": 1, "mean": 1, "max": 1,
    "softmax": 4,                                   # subtract the largest, exp, add, divide
    "log_softmax": 4,
    "gelu": 9,                                      # the operations of plain_gelu
    "layernorm": 8,                                 # 6 as in normalise, 1 for the scale, 1 for the shift
    "normalise": 6,
    "add_bias": 1,                                  # one operation for each summand
    "cross_entropy": 5, "vocab_parallel_cross_entropy": 5,
}
# op -> the number of multiply-adds for each element of its result, from the shapes of its inputs
PRODUCTS: Mapping[str, Callable[[Sequence[Shape]], int]] = {
    "matmul": lambda shapes: shapes[0][-1],         # [..., n, k] @ [..., k, m]
    "linear": lambda shapes: shapes[1][0],          # [..., I] @ [I, O]
    "unembedding": lambda shapes: shapes[1][1],     # [..., D] @ [V, D] transposed
    "causal_attention": lambda shapes: 2 * shapes[0][1],  # a score and a value for each of T keys
}
VIEWS = {"reshape", "transpose", "swapaxes", "broadcast_to", "copy_to_region"}


def count_flops(op: str, shapes: Sequence[Shape], result: Shape) -> int:
    """Return the FLOPs of an op call, or 0 for an unknown op. `shapes` are the shapes of its inputs, `result`
    is the shape of its result.

    >>> count_flops("linear", [(5, 8), (8, 16)], (5, 16))                   # 2 * 5 * 8 * 16
    1280
    """
    elements = math.prod(result)
    if op in PRODUCTS:
        bias = elements if op == "linear" and len(shapes) > 2 else 0
        return 2 * PRODUCTS[op](shapes) * elements + bias
    if op == "add_bias":
        return (len(shapes) - 1) * elements
    return PER_ELEMENT.get(op, 0) * max(elements, math.prod(shapes[0]) if shapes else 0)


def moved_bytes(graph: OpGraph, node: OpNode) -> int:
    """Return the bytes that the node reads and writes."""
    if node.op in VIEWS or (node.op == "take" and _is_view(node.arguments["index"])):
        return 0
    read = [graph.size_of(name).nbytes for name in dict.fromkeys(node.inputs)]
    if node.op == "embedding":
        read[-1] = node.nbytes                                      # the rows of the tokens, not the table
    return sum(read) + node.nbytes


def _is_view(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)


def totals(graph: OpGraph) -> tuple[int, int, int]:
    """Return the number of nodes, their bytes and their FLOPs.

    >>> import numpy as np
    >>> from minipar.autograd import Tensor, tanh
    >>> from minipar.graph import capture
    >>> totals(capture(lambda x: tanh(x) * 2.0, Tensor(np.arange(3.0))))    # two nodes, each 24 + 24 bytes
    (2, 96, 6)
    """
    return (len(graph.nodes), sum(moved_bytes(graph, node) for node in graph.nodes),
            sum(node.flops for node in graph.nodes))


def constant_bytes(graph: OpGraph) -> int:
    """Return the bytes of all constants."""
    return sum(array.nbytes for array in graph.constants.values())
