"""Rank counts that are not a power of two, for algorithms that pair ranks by the bits of their numbers.

With p = q + e ranks, q the largest power of two, the first 2e ranks form e pairs. The even rank of each pair
sends its array to the odd one, which represents both; the remaining q ranks (the core) run the algorithm;
then each odd rank sends the result back:

    p = 6      0 -> 1      2 -> 3      4      5          fold
                    1           3      4      5          the core: q = 4
               0 <- 1      2 <- 3      4      5          unfold

Cost of an all-reduce's fold: 2 (alpha + n beta). Source: Thakur, Rabenseifner, Gropp 2005, section 4.5.
"""

from collections.abc import Generator, Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import Request


def pairs(size: int) -> int:
    """The number of pairs: the ranks beyond the largest power of two."""
    return size - (1 << (size.bit_length() - 1))


def core(channel: Channel) -> Channel | None:
    """The ranks that run the algorithm, renumbered from 0; None on a rank that has sent its array away."""
    folded = 2 * pairs(channel.size)
    if not folded:
        return channel
    if channel.rank < folded and channel.rank % 2 == 0:
        return None
    return channel.among([*range(1, folded, 2), *range(folded, channel.size)])


def core_counts(counts: Sequence[int]) -> list[int]:
    """The pieces of the core's ranks: a pair's two pieces are one."""
    folded = 2 * pairs(len(counts))
    return [counts[even] + counts[even + 1] for even in range(0, folded, 2)] + list(counts[folded:])


def hand_over(channel: Channel, send_buffer: np.ndarray,
              receive_buffer: np.ndarray) -> Generator[Request, None, bool]:
    """Even ranks of the pairs send `send_buffer`, odd ones receive it into `receive_buffer`; returns whether
    this rank received.
    """
    if channel.rank >= 2 * pairs(channel.size):
        return False
    if channel.rank % 2:
        yield channel.receive(receive_buffer, channel.rank - 1)
        return True
    yield channel.send(send_buffer, channel.rank + 1)
    return False


def hand_back(channel: Channel, send_buffer: np.ndarray, receive_buffer: np.ndarray) -> AlgorithmSteps:
    """Odd ranks of the pairs send `send_buffer`, even ones receive it into `receive_buffer`."""
    if channel.rank < 2 * pairs(channel.size):
        if channel.rank % 2:
            yield channel.send(send_buffer, channel.rank - 1)
        else:
            yield channel.receive(receive_buffer, channel.rank + 1)


def add_pairs(channel: Channel, total: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """The fold of a reduction: afterwards an odd rank's `total` is the sum of its pair."""
    even = np.empty_like(total) if pairs(channel.size) else total
    if (yield from hand_over(channel, total, even)):
        combine(even, total, out=total)
