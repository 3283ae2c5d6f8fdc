"""Run all passes, one after the other, and report the size of the graph after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from minipar.graph.common import merge_common
from minipar.graph.communication import require_same_communication, sent_bytes
from minipar.graph.counts import constant_bytes, totals
from minipar.graph.dead import remove_dead
from minipar.graph.elementwise import fuse_elementwise
from minipar.graph.fold import fold_constants
from minipar.graph.fuse import fuse_patterns
from minipar.graph.graph import OpGraph
from minipar.graph.products import fold_norms, merge_linears

GraphPass = Callable[[OpGraph], OpGraph]

# These passes change no bit of the outputs.
EXACT: Mapping[str, GraphPass] = {
    "constant folding": fold_constants, "common subexpressions": merge_common, "dead code": remove_dead,
    "fused patterns": fuse_patterns, "fused elementwise ops": fuse_elementwise}
# These passes change the order of sums, so the last bits can differ.
ROUNDING: Mapping[str, GraphPass] = {"linear into linear": merge_linears, "LayerNorm into linear": fold_norms}
ORDER = ("constant folding", "common subexpressions", "linear into linear", "LayerNorm into linear",
         "dead code", "fused patterns", "fused elementwise ops")


@dataclass(frozen=True)
class PassReport:
    """Holds the size of the graph after a pass: the number of nodes, the bytes that they move, their FLOPs,
    the bytes that this rank sends, and the bytes of all constants. `removed` is the number of nodes that this
    pass removed.
    """

    name: str
    nodes: int
    moved_bytes: int
    flops: int
    sent_bytes: int
    constant_bytes: int
    removed: int


@dataclass(frozen=True)
class Optimised:
    """Holds the optimised graph, and one report for each pass. The first report is the graph before all
    passes.
    """

    graph: OpGraph
    reports: tuple[PassReport, ...]


def optimise(graph: OpGraph, *, exact: bool = False) -> Optimised:
    """Return a graph with fewer nodes, bytes and FLOPs. Its outputs are equal up to rounding. With exact=True
    only the passes in EXACT run, and the outputs are equal in every bit.

    Raises GraphError if a pass changes the nodes that communicate. That is a bug of the pass.

    >>> import numpy as np, minipar as mp
    >>> from minipar.graph import capture
    >>> model = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
    >>> found = optimise(capture(model, np.array([[1, 2, 3, 4]])))
    >>> [(report.name, report.removed) for report in found.reports if report.removed]
    [('constant folding', 1), ('fused patterns', 3)]
    >>> [node.op for node in found.graph.nodes if node.op.startswith("linear_")]
    ['linear_add', 'linear_gelu']
    """
    reports = [_report("captured", graph, len(graph.nodes))]
    for name in ORDER:
        if name in EXACT or not exact:
            before, graph = graph, {**EXACT, **ROUNDING}[name](graph)
            require_same_communication(name, before, graph)
            reports.append(_report(name, graph, len(before.nodes)))
    return Optimised(graph, tuple(reports))


def _report(name: str, graph: OpGraph, before: int) -> PassReport:
    sent = sum(sent_bytes(graph, node) for node in graph.nodes)
    return PassReport(name, *totals(graph), sent, constant_bytes(graph), before - len(graph.nodes))
