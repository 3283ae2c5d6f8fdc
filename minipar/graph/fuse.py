"""Fuses ops by patterns: two or three ops that often follow each other become one node with its own function.

    linear, gelu                         linear_gelu          the bias and GELU are computed in place
    linear, add or add_bias              linear_add           the residual is added in place
    mul, add, softmax                    masked_softmax       the scale and the mask of attention
    add or add_bias, layernorm           add_layernorm        the residual of a post-norm block

An op is fused into its reader only if the op has no other reader. With a second reader, the op would be
computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from minipar.autograd import Tensor
from minipar.graph.graph import OpGraph, OpNode
from minipar.graph.kernels import add_layernorm, linear_add, linear_gelu, masked_softmax
from minipar.graph.references import Ref

# (graph, the last node of the pattern) -> the nodes before it, and the arguments of the fused node; or None
Match = tuple[list[OpNode], dict[str, Any]]
Pattern = Callable[[OpGraph, OpNode], Match | None]


def fuse_patterns(graph: OpGraph) -> OpGraph:
    """Return the graph with one node for each pattern of the table above. Its results have the same bits.

    >>> import numpy as np
    >>> from minipar.autograd import Tensor, gelu, linear
    >>> from minipar.graph import capture
    >>> W, x = Tensor(np.ones((4, 8))), Tensor(np.ones((2, 4)))
    >>> graph = capture(lambda x: gelu(linear(x, W)), x)
    >>> [node.op for node in graph.nodes], [node.op for node in fuse_patterns(graph).nodes]
    (['linear', 'gelu'], ['linear_gelu'])
    """
    for function, pattern in PATTERNS:
        for name in [node.name for node in graph.nodes]:
            match = pattern(graph, graph.makers[name]) if name in graph.makers else None
            if match and _fits_in_one_array(graph, graph.makers[name], *match):
                graph = _fused(graph, graph.makers[name], function, *match)
    return graph


def _fits_in_one_array(graph: OpGraph, last: OpNode, before: list[OpNode], arguments: dict[str, Any]) -> bool:
    """Returns True if one array can hold all intermediate results: they are stored row by row, and have the
    dtype of the inputs.
    """
    return all(node.in_rows for node in [*before, last]) and graph.has_one_dtype(last.dtype, arguments)


def _fused(graph: OpGraph, last: OpNode, function: Callable[..., Tensor], before: list[OpNode],
           arguments: dict[str, Any]) -> OpGraph:
    node = replace(last, op=function.__name__, function=function, arguments=arguments,
                   flops=last.flops + sum(one.flops for one in before))
    gone = {one.name for one in before}
    return replace(graph, nodes=tuple(node if one is last else one for one in graph.nodes
                                      if one.name not in gone))


def _linear_gelu(graph: OpGraph, node: OpNode) -> Match | None:
    inner = graph.read_once(node.arguments.get("x"))
    if node.op != "gelu" or inner is None or inner.op != "linear":
        return None
    return [inner], dict(inner.arguments)


def _linear_add(graph: OpGraph, node: OpNode) -> Match | None:
    for x, added in _sums(graph, node):
        inner = graph.read_once(x)
        if inner is not None and inner.op == "linear":
            return [inner], {**inner.arguments, **added}
    return None


def _add_layernorm(graph: OpGraph, node: OpNode) -> Match | None:
    inner = graph.read_once(node.arguments.get("x"))
    if node.op not in ("layernorm", "normalise") or inner is None:
        return None
    for x, added in _sums(graph, inner):
        if "residual" in added:
            rest = {key: value for key, value in node.arguments.items() if key != "x"}
            return [inner], {"x": x, **added, **rest}
    return None


def _sums(graph: OpGraph, node: OpNode) -> list[tuple[Ref, dict[str, Ref]]]:
    """Return the ways to write a node as a sum x + row + residual. Each way is (x, name -> other summand). x
    and residual have the shape of the node.
    """
    given = {key: value for key, value in node.arguments.items() if value is not None}
    if node.op == "add_bias":
        names = {"b": "row", "residual": "residual"}
        return [(given["x"], {names[key]: value for key, value in given.items() if key != "x"})]
    if node.op == "add" and all(isinstance(value, Ref) and graph.size_of(value.name).shape == node.shape
                                for value in given.values()):
        a, b = given["a"], given["b"]
        return [(a, {"residual": b}), (b, {"residual": a})]
    return []


def _masked_softmax(graph: OpGraph, node: OpNode) -> Match | None:
    if node.op != "softmax" or node.arguments.get("axis", -1) not in (-1, len(node.shape) - 1):
        return None
    inner = graph.read_once(node.arguments["x"])
    mask: dict[str, Any] = {}
    before = []
    if inner is not None and inner.op == "add" and graph.is_constant(inner.arguments["b"]):
        before, mask = [inner], {"mask": inner.arguments["b"]}
        inner = graph.read_once(inner.arguments["a"])
    if inner is None or inner.op != "mul":
        return None
    scores, scale = inner.arguments["a"], inner.arguments["b"]
    if not isinstance(scale, int | float) or graph.size_of(scores.name).shape != node.shape:
        return None
    return [inner, *before], {"scores": scores, "scale": scale, **mask}


PATTERNS: list[tuple[Callable[..., Tensor], Pattern]] = [
    (masked_softmax, _masked_softmax), (linear_gelu, _linear_gelu), (add_layernorm, _add_layernorm),
    (linear_add, _linear_add)]
