"""Reduces the number of ranks to a power of two, for algorithms that pair ranks by the bits of their numbers.

Let p = q + e be the number of ranks, where q is the largest power of two that is at most p. The first 2e
ranks form e pairs. The even rank of each pair sends its array to the odd rank, which then represents the
pair. The remaining q ranks, called the core, run the algorithm. Then each odd rank sends the result back:

    p = 6      0 -> 1      2 -> 3      4      5          fold
                    1           3      4      5          the core: q = 4
               0 <- 1      2 <- 3      4      5          unfold

For an all-reduce of n bytes, fold and unfold cost 2 (alpha + n beta), with alpha seconds per message and beta
seconds per byte. Source: Thakur, Rabenseifner, Gropp 2005, section 4.5.
"""

from collections.abc import Generator, Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.protocol import Request


def pairs(size: int) -> int:
    """Returns the number e of pairs."""
    return size - (1 << (size.bit_length() - 1))


def core(channel: Channel) -> Channel | None:
    """Returns a channel of the core ranks, renumbered from 0. Returns None on the even rank of a pair, which
    is not in the core.
    """
    folded = 2 * pairs(channel.size)
    if not folded:
        return channel
    if channel.rank < folded and channel.rank % 2 == 0:
        return None
    return channel.among([*range(1, folded, 2), *range(folded, channel.size)])


def core_counts(counts: Sequence[int]) -> list[int]:
    """Returns the size of each core rank's piece. For a pair, it is the sum of the sizes of the pair's two
    pieces. counts: the size of each rank's piece.
    """
    folded = 2 * pairs(len(counts))
    return [counts[even] + counts[even + 1] for even in range(0, folded, 2)] + list(counts[folded:])


def hand_over(channel: Channel, send_buffer: np.ndarray,
              receive_buffer: np.ndarray) -> Generator[Request, None, bool]:
    """Send `send_buffer` from the even ranks of the pairs to the `receive_buffer` of the odd ones. Returns
    whether this rank has received.
    """
    if channel.rank >= 2 * pairs(channel.size):
        return False
    if channel.rank % 2:
        yield channel.receive(receive_buffer, channel.rank - 1)
        return True
    yield channel.send(send_buffer, channel.rank + 1)
    return False


def hand_back(channel: Channel, send_buffer: np.ndarray, receive_buffer: np.ndarray) -> AlgorithmSteps:
    """Send `send_buffer` from the odd ranks of the pairs to the `receive_buffer` of the even ones."""
    if channel.rank < 2 * pairs(channel.size):
        if channel.rank % 2:
            yield channel.send(send_buffer, channel.rank - 1)
        else:
            yield channel.receive(receive_buffer, channel.rank + 1)


def add_pairs(channel: Channel, total: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """Fold a reduction. Afterwards `total` on the odd rank of each pair is the sum of the pair's two arrays.
    """
    even = np.empty_like(total) if pairs(channel.size) else total
    if (yield from hand_over(channel, total, even)):
        combine(even, total, out=total)
