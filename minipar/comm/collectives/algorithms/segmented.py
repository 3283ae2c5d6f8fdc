"""The ring with each chunk divided into segments, so that a rank adds and sends at the same time.

In the plain ring, a rank first receives a whole chunk (1/p of the array), then adds it, then sends the sum.
While the rank adds, its link is idle. A long chunk does not stay in the cache until the rank adds it. In the
segmented ring, a rank adds one segment while the next segments are in flight:

    receive   s0 s1 s2 s3
    add          s0 s1 s2 s3

A rank sends as many bytes as in the plain ring, but in more messages. With segments of S bytes, a chunk of C
bytes needs ceil(C / S) messages in the reduce-scatter.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.algorithms import ring
from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.chunks import even_counts, pieces
from minipar.plan.collective_times import SEGMENT_BYTES


def segments_of(chunk: np.ndarray) -> list[np.ndarray]:
    """Returns the segments of the chunk. An empty chunk has one empty segment."""
    length = max(1, SEGMENT_BYTES // chunk.itemsize)
    return [chunk[start:start + length] for start in range(0, max(1, chunk.size), length)]


def add_around(channel: Channel, source: list[np.ndarray], sums: list[np.ndarray],
               combine: np.ufunc) -> AlgorithmSteps:
    """Run the reduce-scatter. The arguments and the bits of the result are the same as for ring.add_around.
    """
    p, rank = channel.size, channel.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    if p == 1:
        np.copyto(sums[0], source[0])
    longest = max(segments_of(chunk)[0].size for chunk in source)
    buffers = [np.empty(longest, source[0].dtype) for _ in range(2)]
    send_buffer = source[left]
    for step in range(p - 1):
        passing = (rank - step - 2) % p
        shares, totals = segments_of(source[passing]), segments_of(sums[passing])
        receiving = channel.receive(buffers[0][:shares[0].size], left)
        sending = [channel.send(segment, right) for segment in segments_of(send_buffer)]
        for number, (share, total) in enumerate(zip(shares, totals, strict=True), start=1):
            arrived = receiving
            if number < len(shares):  # the next segment is in flight while this one is added
                receiving = channel.receive(buffers[number % 2][:shares[number].size], left)
            yield arrived
            combine(arrived.array.view(share.dtype), share, out=total)
        yield from sending
        send_buffer = sums[passing]


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """Reduce into `out`. This works in place if out is source, and needs memory for two segments only."""
    counts = even_counts(out.size, channel.size)
    yield from add_around(channel, pieces(source, counts), pieces(out, counts), combine)
    yield from ring.pass_around(channel, pieces(out, counts))


def reduce_scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> AlgorithmSteps:
    """Reduce to this rank's chunk, in `out`, as ring.reduce_scatter does."""
    yield from add_around(channel, pieces(source, counts), ring.passing_sums(channel, out, counts), combine)
