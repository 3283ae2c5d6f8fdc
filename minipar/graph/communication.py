"""The nodes of a graph that communicate, and the bytes that they send.

The graph of a tensor-parallel rank has the operators of `minipar.parallel` as nodes. All ranks of a group
have equal lists of these nodes. A node waits until the other ranks reach the same node. So every pass must
keep these nodes, and their order. This is also true if the result of a node is constant, occurs twice, or is
never used. Otherwise, another rank waits for ever, or receives the data of another node.

An operator that communicates only in backward is an ordinary node, since a graph has only the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minipar.comm.collectives.select import select
from minipar.comm.protocol import Communicator
from minipar.errors import GraphError
from minipar.graph.graph import OpGraph, OpNode, Placeholder
from minipar.graph.references import leaves
from minipar.plan.amounts import SentTotals
from minipar.plan.axis import AxisTraffic
from minipar.plan.collectives import bruck_all_to_all, direct_all_to_all

BACKWARD_ONLY = {"copy_to_region", "scatter_to_region"}
Sent = Callable[[AxisTraffic, Placeholder, Mapping[str, Any]], list[SentTotals]]


def communicates(node: OpNode) -> bool:
    """Returns True if the node sends or receives messages."""
    return node.op not in BACKWARD_ONLY and _group_of(node) is not None


def communication(graph: OpGraph) -> list[str]:
    """Return the names of the nodes that communicate, in their order."""
    return [node.name for node in graph.nodes if communicates(node)]


def require_same_communication(pass_name: str, before: OpGraph, after: OpGraph) -> None:
    """Raises GraphError if a pass removed, added or reordered a node that communicates."""
    if (old := communication(before)) != (new := communication(after)):
        raise GraphError(f"the pass {pass_name!r} changed the communication from {', '.join(old)} to "
                         f"{', '.join(new) or 'nothing'}; other ranks would wait for ever")


def sent_bytes(graph: OpGraph, node: OpNode) -> int:
    """Return the bytes that this rank sends when it computes the node. They follow from the closed forms of
    `minipar.plan`. Raises GraphError for an unknown operator, and LayoutError for an algorithm without a
    formula.
    """
    comm = _group_of(node)
    if comm is None or node.op in BACKWARD_ONLY:
        return 0
    if node.op not in SENT:
        raise GraphError(f"there is no formula for the bytes of {node.op}")

    def pick(operation: str, nbytes: int, ranks: int, *, nodes: int) -> str:
        return comm.preferred.get(operation) or select(operation, nbytes, ranks, nodes=nodes)

    axis = AxisTraffic(comm.name, comm.rank, tuple(comm.nodes), pick)
    x = graph.size_of(node.inputs[0])
    return sum(one.bytes for one in SENT[node.op](axis, x, node.arguments))


def _group_of(node: OpNode) -> Communicator | None:
    return next((leaf for leaf in leaves(dict(node.arguments)) if isinstance(leaf, Communicator)), None)


def _all_reduce(axis: AxisTraffic, x: Placeholder, given: Mapping[str, Any]) -> list[SentTotals]:
    return [axis.all_reduce(_elements(x), x.dtype.itemsize, given["label"])[1]]


def _all_gather(axis: AxisTraffic, x: Placeholder, given: Mapping[str, Any]) -> list[SentTotals]:
    row = _elements(x) // given["counts"][axis.rank]                # the elements of one index along the axis
    return [axis.all_gather([count * row for count in given["counts"]], x.dtype.itemsize, given["label"])[1]]


def _reduce_scatter(axis: AxisTraffic, x: Placeholder, given: Mapping[str, Any]) -> list[SentTotals]:
    row = _elements(x) // sum(given["counts"])
    return [axis.reduce_scatter([count * row for count in given["counts"]], x.dtype.itemsize,
                                given["label"])[1]]


def _all_to_all(axis: AxisTraffic, x: Placeholder, given: Mapping[str, Any]) -> list[SentTotals]:
    block = _elements(x) // axis.size
    algorithm = axis.pick("all_to_all", x.nbytes, axis.size, nodes=len(set(axis.nodes)))
    sent = (bruck_all_to_all(axis.size, axis.rank, block) if algorithm == "bruck"
            else direct_all_to_all(axis.size, axis.rank, [block] * axis.size))
    return [SentTotals(1, sent.messages, sent.elements * x.dtype.itemsize)]


def _cross_entropy(axis: AxisTraffic, x: Placeholder, given: Mapping[str, Any]) -> list[SentTotals]:
    """One all-reduce of a maximum per token, and one of two sums per token."""
    tokens = _elements(x) // x.shape[-1]
    return [axis.all_reduce(tokens, x.dtype.itemsize, "loss max", "max")[1],
            axis.all_reduce(2 * tokens, x.dtype.itemsize, "loss sums")[1]]


def _elements(x: Placeholder) -> int:
    return x.nbytes // x.dtype.itemsize


# op -> the messages of its collectives in forward
SENT: Mapping[str, Sent] = {
    "reduce_from_region": _all_reduce, "gather_from_sequence": _all_gather, "gather_from_region": _all_gather,
    "reduce_scatter_to_sequence": _reduce_scatter, "exchange_axes": _all_to_all,
    "vocab_parallel_cross_entropy": _cross_entropy}
