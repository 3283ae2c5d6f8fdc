"""Reduces first within each node, then between nodes, for clusters whose links between nodes are slow.

A lane is a group of one rank per node: the first ranks of all nodes, or the second ones, and so on.

    node A          node B                  w = 2 ranks per node: 2 lanes
    0  1            2  3      reduce-scatter within each node: each rank has 1/w of the node's sum
    |  |            |  |
    0--|------------2  |      all-reduce along each lane, between the nodes
       1---------------3
    0  1            2  3      all-gather within each node

Let there be m nodes of w ranks, p = m w ranks in all, and arrays of n bytes. Each rank sends 2 (m - 1)/m n/w
bytes to other nodes. A plain ring over all p ranks would be worse: one rank per node would send 2 (p - 1)/p n
bytes to the next node. Its link would carry about w times as many bytes, while the links of the node's other
ranks would be idle. The cost (alpha: seconds per message, beta: seconds per byte; alpha' and beta' between
nodes) is:

    2 (w - 1) (alpha + n/w beta) within, and 2 (m - 1) (alpha' + n/(w m) beta') between nodes

If the nodes have different numbers of ranks, the smallest number is the number of lanes. Source: Thakur,
Rabenseifner, Gropp 2005, section 6 (SMP clusters); Mikami et al. 2018, "Massively distributed SGD", for the
two-dimensional form with lanes.
"""

import numpy as np

from minipar.comm.collectives.algorithms import ring
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.chunks import even_counts, pieces


def by_node(channel: Channel) -> list[list[int]]:
    """Returns the ranks of each node. The nodes are in the order of their first rank."""
    nodes: dict[int, list[int]] = {}
    for rank, member in enumerate(channel.ranks):
        nodes.setdefault(channel.comm.nodes[member], []).append(rank)
    return list(nodes.values())


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    nodes = by_node(channel)
    width = min(len(ranks) for ranks in nodes)
    node = channel.among(next(ranks for ranks in nodes if channel.rank in ranks))
    counts = even_counts(out.size, width) + [0] * (node.size - width)
    chunks = pieces(out, counts)
    yield from ring.add_around(node, pieces(source, counts), chunks, combine)
    if node.rank < width:
        lane = channel.among([ranks[node.rank] for ranks in nodes])
        chunk = chunks[node.rank]
        yield from ring.all_reduce(lane, chunk, chunk, combine)
    yield from ring.pass_around(node, chunks)
