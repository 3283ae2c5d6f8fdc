"""Recursive doubling. In round k, two ranks whose numbers differ in one bit exchange all data that they have:
bit 0 in round 1, bit 1 in round 2, and so on. After log2 p rounds, each of the p ranks has all data.

    round 1    0 <-> 1   2 <-> 3   4 <-> 5   6 <-> 7
    round 2    0 <-> 2   1 <-> 3   4 <-> 6   5 <-> 7
    round 3    0 <-> 4   1 <-> 5   2 <-> 6   3 <-> 7

The costs, for arrays of n bytes (alpha: seconds per message, beta: seconds per byte), are:

    all-reduce     log2 p (alpha + n beta)            the fewest messages, each with the whole array
    all-gather     log2 p alpha + (p - 1)/p n beta

This algorithm is the best for short arrays. If p is not a power of two, some ranks first send their array to
a neighbour and wait (fold.py). The two ranks of a pair combine the same two arrays. Both put the lower rank's
array first, because the result of max(-0, +0) and the bits of NaNs depend on the order.

Source: Thakur, Rabenseifner, Gropp 2005, sections 3.1 and 4.5.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.algorithms import fold
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import copy_unless_same, edges, pieces


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    copy_unless_same(source, out)
    yield from fold.add_pairs(channel, out, combine)
    core = fold.core(channel)
    if core is not None:
        incoming = np.empty_like(out)
        distance = 1
        while distance < core.size:
            partner = core.rank ^ distance
            yield from exchange(core, out, partner, incoming, partner)
            low, high = (out, incoming) if core.rank < partner else (incoming, out)
            combine(low, high, out=out)
            distance *= 2
    yield from fold.hand_back(channel, out, out)


def all_gather(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """Gather all pieces in `out`. This rank's own piece is already at its position."""
    own = pieces(out, counts)[channel.rank]
    yield from fold.hand_over(channel, own, pieces(out, counts)[channel.rank - 1])
    core = fold.core(channel)
    if core is not None:
        yield from swap_blocks(core, out, fold.core_counts(counts))
    yield from fold.hand_back(channel, out, out)


def swap_blocks(core: Channel, flat: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """Exchange blocks of pieces. Each rank of the core (fold.py) starts with its own piece. Each round
    doubles the number of pieces that a rank has. After the last round, it has all pieces.
    """
    edge = edges(counts)
    distance = 1
    while distance < core.size:
        partner = core.rank ^ distance
        mine, theirs = (rank // distance * distance for rank in (core.rank, partner))
        yield from exchange(core, flat[edge[mine]:edge[mine + distance]], partner,
                            flat[edge[theirs]:edge[theirs + distance]], partner)
        distance *= 2
