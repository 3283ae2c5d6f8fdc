"""The ring: every rank sends only to its right neighbour, and all links carry the same number of bytes at all
times.

The array is divided into p chunks. In a reduce-scatter, each chunk goes once around the ring; each receiver
adds its own chunk:

    p = 3         rank 0            rank 1            rank 2           (ab: the sum of a's and b's chunk)
    start        0   0   0         1   1   1         2   2   2
    step 1       0  02   0         1   1  01        12   2   2          rank r: sends r - 1, receives r - 2
    step 2     012  02   0         1 012  01        12   2 012          rank r ends with chunk r, complete

In an all-gather the complete chunks go around once more. Every rank sends (p - 1) chunks in each half:

    reduce-scatter, all-gather      (p - 1) (alpha + n/p beta)
    all-reduce                    2 (p - 1) (alpha + n/p beta)

No algorithm moves fewer bytes per rank (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for
clusters of workstations"). For short arrays its p - 1 steps are too many. One rank adds up each chunk and the
others copy it, so all get the same bits.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.algorithms import tree
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import even_counts, pieces


def add_around(channel: Channel, source: list[np.ndarray], sums: list[np.ndarray],
               combine: np.ufunc) -> AlgorithmSteps:
    """The reduce-scatter: leaves chunk r of the total in sums[r] on rank r.

    source, sums: p chunks each. Every chunk of sums is overwritten, in the order in which chunks pass by;
    sums may be source. Neighbours in sums must not share memory, since one chunk is still being sent while
    the next one is summed.
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
    """The all-gather: rank r starts with chunk r and ends with all of them."""
    p, rank = channel.size, channel.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    for step in range(p - 1):
        yield from exchange(channel, chunks[(rank - step) % p], right, chunks[(rank - step - 1) % p], left)


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """Works in place if out is source, and needs memory for one chunk only."""
    counts = even_counts(out.size, channel.size)
    yield from add_around(channel, pieces(source, counts), pieces(out, counts), combine)
    yield from pass_around(channel, pieces(out, counts))


def reduce_scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> AlgorithmSteps:
    """counts: the elements of each rank's chunk; `out` takes this rank's."""
    yield from add_around(channel, pieces(source, counts), passing_sums(channel, out, counts), combine)


def passing_sums(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> list[np.ndarray]:
    """Buffers for p partial sums: `out` for this rank's own; two spare chunks, alternately, for the others.
    """
    spares = [np.empty(max(counts), out.dtype) for _ in range(2)]
    sums = [spares[(rank - channel.rank) % channel.size % 2][:count] for rank, count in enumerate(counts)]
    sums[channel.rank] = out
    return sums


def all_gather(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """This rank's own piece is already at its position in `out`."""
    yield from pass_around(channel, pieces(out, counts))


def broadcast(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    """For long arrays: scatter down a tree, then all-gather on the ring (van de Geijn 1994).

    (ceil(log2 p) + p - 1) alpha + 2 (p - 1)/p n beta, where the tree alone takes ceil(log2 p) n beta.
    """
    counts = even_counts(buffer.size, channel.size)
    chunks = pieces(buffer, counts)
    yield from tree.scatter(channel, buffer, chunks[channel.rank], counts, root)
    yield from pass_around(channel, chunks)


def reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc,
           root: int) -> AlgorithmSteps:
    """For long arrays: reduce-scatter on the ring, then gather up a tree (Rabenseifner's reduce, with a ring
    as its half).
    """
    counts = even_counts(source.size, channel.size)
    chunk = np.empty(counts[channel.rank], source.dtype)
    yield from reduce_scatter(channel, source, chunk, counts, combine)
    yield from tree.gather(channel, chunk, out, counts, root)
