"""Rabenseifner's algorithm sends as few bytes as the ring, in fewer messages: 2 log2 p instead of 2 (p - 1),
for p ranks.

The first part is recursive halving. Example with p = 8: rank 0 keeps the first half of the array and sends
the second half to rank 4. Next it sends the second quarter to rank 2, then the second eighth to rank 1. Each
rank adds the data that it receives. At the end each rank has its part of the total, 1/p of the array:

    round 1    0 <-> 4   1 <-> 5   2 <-> 6   3 <-> 7      n/2 each way
    round 2    0 <-> 2   1 <-> 3   4 <-> 6   5 <-> 7      n/4
    round 3    0 <-> 1   2 <-> 3   4 <-> 5   6 <-> 7      n/8

The second part is recursive doubling. It gathers these parts in the reverse order of rounds. The costs, for
arrays of n bytes (alpha: seconds per message, beta: seconds per byte), are:

    reduce-scatter     log2 p alpha + (p - 1)/p n beta
    all-reduce       2 log2 p alpha + 2 (p - 1)/p n beta

If p is not a power of two, some ranks first send their array to a neighbour and wait (fold.py). This costs up
to 2 (alpha + n beta) more, so for long arrays the ring is then faster.

Source: Rabenseifner 2004, "Optimization of collective reduction operations"; Thakur, Rabenseifner, Gropp
2005, section 4.5.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.algorithms import fold
from minipar.comm.collectives.algorithms.recursive_doubling import swap_blocks
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import copy_unless_same, edges, even_counts, pieces


def halve(core: Channel, total: np.ndarray, counts: Sequence[int], combine: np.ufunc) -> AlgorithmSteps:
    """Add up the arrays `total` of all ranks. Afterwards only this rank's own piece of `total` is valid."""
    edge = edges(counts)
    first, last = 0, core.size  # range of the pieces that this rank still reduces
    while last - first > 1:
        middle = (first + last) // 2
        lower, upper = (first, middle), (middle, last)
        keep, give = (lower, upper) if core.rank < middle else (upper, lower)
        partner = core.rank ^ (middle - first)
        kept, send_buffer = (total[edge[start]:edge[stop]] for start, stop in (keep, give))
        arrived = np.empty_like(kept)
        yield from exchange(core, send_buffer, partner, arrived, partner)
        combine(kept, arrived, out=kept)
        first, last = keep


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    copy_unless_same(source, out)
    yield from fold.add_pairs(channel, out, combine)
    core = fold.core(channel)
    if core is not None:
        counts = even_counts(out.size, core.size)
        yield from halve(core, out, counts, combine)
        yield from swap_blocks(core, out, counts)
    yield from fold.hand_back(channel, out, out)


def reduce_scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> AlgorithmSteps:
    """Reduce to this rank's piece, in `out`. counts: the number of elements of each rank's piece."""
    total = source.copy()
    yield from fold.add_pairs(channel, total, combine)
    core = fold.core(channel)
    if core is not None:
        yield from halve(core, total, fold.core_counts(counts), combine)
    own = pieces(total, counts)
    yield from fold.hand_back(channel, own[channel.rank - 1], out)
    if channel.size == 1 or core is not None:
        np.copyto(out, own[channel.rank])
