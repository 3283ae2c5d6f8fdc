"""Bruck's algorithms. Each of the p ranks sends only ceil(log2 p) messages, for any p, since ranks forward
the blocks of other ranks.

In round k of an all-gather, each rank receives all blocks that the rank at distance 2**k to its right has
gathered so far. The last round leaves out the blocks that the rank already has.

    p = 5, rank 0 holds    0    ->    0 1    ->    0 1 2 3    ->    0 1 2 3 4

In an all-to-all, a block for the rank at distance d to the right is sent once for each bit of d that is 1.
Example: d = 5 is 101 in binary, so the block moves by 1 and by 4 ranks. A rank sends all blocks of a round in
one message, so the algorithm needs few messages. Each block is sent about log2(p)/2 times, so the algorithm
is slow for long blocks. Let n be the bytes of the array, alpha the seconds per message and beta the seconds
per byte. The costs are:

    all-gather     ceil(log2 p) alpha + (p - 1)/p n beta
    all-to-all     ceil(log2 p) (alpha + n/2 beta)

Source: Bruck, Ho, Kipnis, Upfal, Weathersby 1997, "Efficient algorithms for all-to-all communications in
multiport message-passing systems"; Thakur, Rabenseifner, Gropp 2005, sections 3.1 and 3.2.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import edges, rotate


def all_gather(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """Gather all pieces in `out`. This rank's own piece is already at its position."""
    p, rank = channel.size, channel.rank
    start = sum(counts[:rank])
    edge = edges([*counts[rank:], *counts[:rank]])  # start of each piece in the order rank, rank + 1, ...
    held = np.empty_like(out)
    held[:counts[rank]] = out[start:start + counts[rank]]
    have = 1
    while have < p:
        take = min(have, p - have)
        left, right = (rank - have) % p, (rank + have) % p
        yield from exchange(channel, held[:edge[take]], left, held[edge[have]:edge[have + take]], right)
        have += take
    rotate(held, out, out.size - start)


def all_to_all(channel: Channel, source: np.ndarray, out: np.ndarray, send_counts: Sequence[int],
               receive_counts: Sequence[int]) -> AlgorithmSteps:
    """Send one block to each rank. send_counts: the number of elements for each rank. receive_counts: the
    number of elements from each rank. Raises CommError unless all these numbers are equal.
    """
    p, rank = channel.size, channel.rank
    if len({*send_counts, *receive_counts}) > 1:
        raise channel.wrong("all_to_all", "algorithm",
                            f"by bruck needs blocks of one size, not {list(send_counts)} and "
                            f"{list(receive_counts)} elements; use algorithm='pairwise'")
    held = np.roll(source.reshape(p, -1), -rank, axis=0)  # held[d] is for the rank at distance d to the right
    distance = 1
    while distance < p:
        moving = [travel for travel in range(p) if travel & distance]
        send_buffer = held[moving]
        arrived = np.empty_like(send_buffer)
        yield from exchange(channel, send_buffer, (rank + distance) % p, arrived, (rank - distance) % p)
        held[moving] = arrived
        distance *= 2
    out.reshape(p, -1)[:] = held[[(rank - origin) % p for origin in range(p)]]
