"""Merges two products with weights: two consecutive linear layers, or a LayerNorm and the next linear layer.

    (x W1 + b1) W2 + b2           =  x (W1 W2) + (b1 W2 + b2)
    (n scale + shift) W + b       =  n (scale W) + (shift W + b)        n is the normalised x

scale W multiplies row i of W by scale[i]. The merged sums have another order, so the last bits can differ.
"""

# I: number of inputs, O: number of outputs

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from minipar.autograd import linear
from minipar.graph.counts import count_flops
from minipar.graph.graph import OpGraph, OpNode, read_only
from minipar.graph.kernels import normalise, op_of
from minipar.graph.references import Ref


@dataclass(frozen=True)
class WeightProduct:
    """Describes a node that computes x W + b with constant W [I, O] and b [O], or x W without b."""

    node: OpNode
    x: Ref
    weight: Ref
    bias: Ref | None

    def values(self, graph: OpGraph) -> tuple[np.ndarray, np.ndarray]:
        """Return W, and b or zeros."""
        weight = graph.constants[self.weight.name]
        zeros = np.zeros(weight.shape[1], weight.dtype)
        return weight, graph.constants[self.bias.name] if self.bias else zeros


def product_of(graph: OpGraph, node: OpNode | None) -> WeightProduct | None:
    """Return the node as a product with constant weights, or None if it is not such a product."""
    if node is None or node.op not in ("linear", "matmul"):
        return None
    if not graph.has_one_dtype(node.dtype, node.arguments):         # otherwise W1 W2 would lose digits
        return None
    names = ("x", "w") if node.op == "linear" else ("a", "b")
    x, weight = (node.arguments[name] for name in names)
    bias = node.arguments.get("b") if node.op == "linear" else None
    if not graph.is_constant(weight) or (bias is not None and not graph.is_constant(bias)):
        return None
    if not isinstance(x, Ref) or graph.is_constant(x) or len(graph.size_of(weight.name).shape) != 2:
        return None
    return WeightProduct(node, x, weight, bias)


def merge_linears(graph: OpGraph) -> OpGraph:
    """Return the graph in which two consecutive products are merged if this needs fewer FLOPs. Nothing else
    may read the first product.

    >>> from minipar.autograd import Tensor
    >>> from minipar.graph import capture
    >>> W1, W2, x = (Tensor(np.ones(shape)) for shape in [(8, 16), (16, 4), (5, 8)])
    >>> graph = capture(lambda x: x @ W1 @ W2, x)
    >>> [node.flops for node in graph.nodes], [node.flops for node in merge_linears(graph).nodes]
    ([1280, 640], [320])
    """
    for name in [node.name for node in graph.nodes]:
        second = product_of(graph, graph.makers[name])
        first = product_of(graph, graph.read_once(second.x)) if second else None
        if first and second:
            graph = _merged(graph, first, second)
    return graph


def _merged(graph: OpGraph, first: WeightProduct, second: WeightProduct) -> OpGraph:
    (w1, b1), (w2, b2) = first.values(graph), second.values(graph)
    if w1.shape[0] * w2.shape[1] >= w1.size + w2.size:
        return graph
    bias = b1 @ w2 + b2 if first.bias or second.bias else None
    replaced, constants = _with_weights(graph, second, first.x, w1 @ w2, bias)
    nodes = tuple(replaced if node is second.node else node for node in graph.nodes if node is not first.node)
    return replace(graph, constants={**graph.constants, **constants}, nodes=nodes)


def fold_norms(graph: OpGraph) -> OpGraph:
    """Return the graph in which the scale and the shift of a LayerNorm are part of the weights of the next
    products. This requires that only products with constant weights read the LayerNorm.

    The product with a token table is not changed, because a second table would need too much memory.

    >>> from minipar.autograd import Tensor, layernorm, linear
    >>> from minipar.graph import capture
    >>> scale, W, x = (Tensor(np.ones(shape)) for shape in [(8,), (8, 16), (5, 8)])
    >>> graph = capture(lambda x: linear(layernorm(x, scale, scale), W), x)
    >>> [node.op for node in fold_norms(graph).nodes]
    ['normalise', 'linear']
    """
    for norm in graph.nodes:
        if norm.op != "layernorm" or norm.name in graph.outputs:
            continue
        if not graph.has_one_dtype(norm.dtype, norm.arguments):
            continue
        affine = [norm.arguments[key] for key in ("scale", "shift") if norm.arguments.get(key)]
        readers = [product_of(graph, node) for node in graph.nodes if norm.name in node.inputs]
        products = [product for product in readers if product]
        if products and len(products) == len(readers) and all(map(graph.is_constant, affine)):
            graph = _without_affine(graph, norm, products)
    return graph


def _without_affine(graph: OpGraph, norm: OpNode, products: list[WeightProduct]) -> OpGraph:
    scale = graph.constants[norm.arguments["scale"].name]
    shift = graph.constants[norm.arguments["shift"].name] if norm.arguments.get("shift") else None
    constants = dict(graph.constants)
    plain = replace(norm, op="normalise", function=normalise,
                    arguments={key: norm.arguments[key] for key in ("x", "eps") if key in norm.arguments},
                    flops=count_flops("normalise", [norm.shape], norm.shape))
    replaced = {norm.name: plain}
    for product in products:
        weight, bias = product.values(graph)
        new_bias = bias if shift is None else bias + shift @ weight
        replaced[product.node.name], more = _with_weights(
            graph, product, product.x, scale[:, None] * weight,
            new_bias if product.bias or shift is not None else None)
        constants.update(more)
    return replace(graph, constants=constants,
                   nodes=tuple(replaced.get(node.name, node) for node in graph.nodes))


def _with_weights(graph: OpGraph, product: WeightProduct, x: Ref, weight: np.ndarray,
                  bias: np.ndarray | None) -> tuple[OpNode, dict[str, np.ndarray]]:
    """Return a linear node in the position of the product, with other weights, and its new constants."""
    name = graph.fresh(f"{product.node.name}.weight")
    constants = {name: read_only(weight)}
    arguments = {"x": x, "w": Ref(name)}
    if bias is not None:
        name = graph.fresh(f"{product.node.name}.bias")
        constants[name] = read_only(bias)
        arguments["b"] = Ref(name)
    shapes = [graph.size_of(x.name).shape, *(array.shape for array in constants.values())]
    node = replace(product.node, op="linear", function=op_of(linear), arguments=arguments,
                   flops=count_flops("linear", shapes, product.node.shape))
    return node, constants
