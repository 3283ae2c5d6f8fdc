"""Chooses the order of weights in memory by timing.

A weight matrix can lie in memory row by row, or column by column (transposed). The product is the same up
to rounding, but BLAS may be faster with one of the two orders. So each product with constant weights is timed
with both orders, in turns, on this machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minipar.graph.graph import OpGraph, OpNode, read_only

Measure = Callable[[Sequence[Callable[[], object]]], list[float]]   # programs -> seconds of each
# op -> the argument with its weights, and whether the product uses them transposed
WEIGHTS: Mapping[str, tuple[str, bool]] = {
    "matmul": ("b", False), "linear": ("w", False), "linear_gelu": ("w", False), "linear_add": ("w", False),
    "unembedding": ("table", True)}
ORDERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows": np.ascontiguousarray, "columns": np.asfortranarray}
# The order of a weight changes only if the other order is faster by this factor. Smaller differences are
# noise.
GAIN = 1.05


@dataclass(frozen=True)
class LayoutChoice:
    """Holds the measured seconds of one product with each order of its weights, and the chosen order.

    `node` is the first node with a product of this shape.
    """

    node: str
    shape: tuple[int, int, int]                 # rows, inputs, outputs
    seconds: Mapping[str, float]
    chosen: str


def seconds_in_turns(programs: Sequence[Callable[[], object]], rounds: int = 7) -> list[float]:
    """Return the CPU seconds of each program: the minimum over several rounds, in which the programs take
    turns.

    >>> [seconds >= 0 for seconds in seconds_in_turns([lambda: sum(range(9)), lambda: None])]
    [True, True]
    """
    taken: list[list[float]] = [[] for _ in programs]
    for _ in range(rounds):
        for program, seconds in zip(programs, taken, strict=True):
            start = time.thread_time()
            program()
            seconds.append(time.thread_time() - start)
    return [min(seconds) for seconds in taken]


def choose_layouts(graph: OpGraph, measure: Measure = seconds_in_turns) -> tuple[OpGraph, list[LayoutChoice]]:
    """Return the graph with each weight matrix in the faster order, and one LayoutChoice for each shape of
    product. The outputs are equal up to rounding.

    A matrix that another op also reads, such as a tied token table, keeps its order.

    >>> from minipar.autograd import Tensor, linear
    >>> from minipar.graph import capture
    >>> W = Tensor(np.ones((4, 8)))
    >>> graph = capture(lambda x: linear(x, W), Tensor(np.ones((2, 4))))
    >>> other, choices = choose_layouts(graph, measure=lambda programs: [2.0, 1.0])
    >>> choices[0].chosen, other.constants["constant.0"].flags.f_contiguous
    ('columns', True)
    """
    choices: dict[tuple[object, ...], LayoutChoice] = {}
    constants = dict(graph.constants)
    for node in graph.nodes:
        name, transposed = _weight_of(graph, node)
        if not name:
            continue
        weight = constants[name]
        inputs, outputs = weight.shape[::-1] if transposed else weight.shape
        shape = (math.prod(node.shape[:-1]), inputs, outputs)
        key = (shape, transposed, weight.dtype, weight.flags.c_contiguous)
        if key not in choices:
            choices[key] = _choice(node.name, shape, weight, transposed, measure)
        constants[name] = read_only(ORDERS[choices[key].chosen](weight))
    return replace(graph, constants=constants), list(choices.values())


def _weight_of(graph: OpGraph, node: OpNode) -> tuple[str, bool]:
    """Return the name of a weight matrix that only this node reads, and whether the product uses it
    transposed.
    """
    argument, transposed = WEIGHTS.get(node.op, ("", False))
    ref = node.arguments.get(argument)
    if ref is None or not graph.is_constant(ref) or graph.reads[ref.name] > 1:
        return "", transposed
    return (ref.name if graph.constants[ref.name].ndim == 2 else ""), transposed


def _choice(name: str, shape: tuple[int, int, int], weight: np.ndarray, transposed: bool,
            measure: Measure) -> LayoutChoice:
    x = np.ones((shape[0], shape[1]), weight.dtype)
    ordered = [order(weight) for order in ORDERS.values()]
    programs = [partial(np.matmul, x, one.T if transposed else one) for one in ordered]
    seconds = dict(zip(ORDERS, measure(programs), strict=True))
    now = "rows" if weight.flags.c_contiguous else "columns"
    best = min(seconds, key=lambda order: seconds[order])
    return LayoutChoice(name, shape, seconds, best if seconds[best] * GAIN < seconds[now] else now)
