"""The ring algorithms. Every rank sends only to its right neighbour. So all links carry the same number of
bytes at all times.

The array is divided into p chunks, one for each of the p ranks. In a reduce-scatter, each chunk goes once
around the ring. Each receiver adds its own chunk to the received one:

    p = 3         rank 0            rank 1            rank 2           (02: sum of rank 0's and 2's chunk)
    start        0   0   0         1   1   1         2   2   2
    step 1       0  02   0         1   1  01        12   2   2          rank r sends chunk r - 1
    step 2     012  02   0         1 012  01        12   2 012          rank r ends with chunk r, complete

In an all-gather, the complete chunks go once around the ring. Every rank sends p - 1 chunks in each of the
two algorithms. The costs, for an array of n bytes (alpha: seconds per message, beta: seconds per byte), are:

    reduce-scatter, all-gather      (p - 1) (alpha + n/p beta)
    all-reduce                    2 (p - 1) (alpha + n/p beta)

No algorithm moves fewer bytes per rank (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for
clusters of workstations"). For short arrays, other algorithms need fewer steps than p - 1. Each chunk of the
total is computed on one rank, and the other ranks copy it. So all ranks get the same bits.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.algorithms import tree
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import even_counts, pieces


def add_around(channel: Channel, source: list[np.ndarray], sums: list[np.ndarray],
               combine: np.ufunc) -> AlgorithmSteps:
    """Run the reduce-scatter: afterwards sums[r] on rank r is chunk r of the total.

    source, sums: p chunks each; sums may be source. The chunks of sums are overwritten in the order in which
    this rank receives them. Neighbouring chunks of sums must not share memory: one chunk is still being sent
    while the next one is summed.
    """
    p, rank = channel.size, channel.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    if p == 1:
        np.copyto(sums[0], source[0])
    incoming = np.empty(max(chunk.size for chunk in source), source[0].dtype)
    send_buffer = source[left]
    for step in range(p - 1):
        passing = (rank - step - 2) % p
        arrived = incoming[:source[passing].size]
        receiving = channel.receive(arrived, left)
        sending = channel.send(send_buffer, right)
        yield receiving
        send_buffer = combine(arrived, source[passing], out=sums[passing])
        yield sending


def pass_around(channel: Channel, chunks: list[np.ndarray]) -> AlgorithmSteps:
    """Run the all-gather: rank r starts with chunk r and ends with all chunks."""
    p, rank = channel.size, channel.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    for step in range(p - 1):
        yield from exchange(channel, chunks[(rank - step) % p], right, chunks[(rank - step - 1) % p], left)


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """Reduce into `out`. This works in place if out is source, and needs memory for one chunk only."""
    counts = even_counts(out.size, channel.size)
    yield from add_around(channel, pieces(source, counts), pieces(out, counts), combine)
    yield from pass_around(channel, pieces(out, counts))


def reduce_scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> AlgorithmSteps:
    """Reduce to this rank's chunk, in `out`. counts: the number of elements of each rank's chunk."""
    yield from add_around(channel, pieces(source, counts), passing_sums(channel, out, counts), combine)


def passing_sums(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Returns buffers for the p partial sums of add_around. `out` is the buffer for this rank's own sum. The
    other sums use two spare chunks in turn.
    """
    spares = [np.empty(max(counts), out.dtype) for _ in range(2)]
    sums = [spares[(rank - channel.rank) % channel.size % 2][:count] for rank, count in enumerate(counts)]
    sums[channel.rank] = out
    return sums


def all_gather(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """Gather all pieces in `out`. This rank's own piece is already at its position."""
    yield from pass_around(channel, pieces(out, counts))


def broadcast(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    """Broadcast a long array: scatter it down a tree, then all-gather it on the ring (van de Geijn 1994).

    The cost is (ceil(log2 p) + p - 1) alpha + 2 (p - 1)/p n beta. In a tree, the bytes alone would cost
    ceil(log2 p) n beta.
    """
    counts = even_counts(buffer.size, channel.size)
    chunks = pieces(buffer, counts)
    yield from tree.scatter(channel, buffer, chunks[channel.rank], counts, root)
    yield from pass_around(channel, chunks)


def reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc,
           root: int) -> AlgorithmSteps:
    """Reduce a long array: reduce-scatter it on the ring, then gather it up a tree. This is Rabenseifner's
    reduce, but with a ring for the reduce-scatter.
    """
    counts = even_counts(source.size, channel.size)
    chunk = np.empty(counts[channel.rank], source.dtype)
    yield from reduce_scatter(channel, source, chunk, counts, combine)
    yield from tree.gather(channel, chunk, out, counts, root)
