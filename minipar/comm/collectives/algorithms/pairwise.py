"""All-to-all, one partner at a time: in step s, rank r sends to rank r + s and receives from rank r - s.

    step 1    0 -> 1   1 -> 2   2 -> 3   3 -> 0
    step 2    0 -> 2   1 -> 3   2 -> 0   3 -> 1
    step 3    0 -> 3   1 -> 0   2 -> 1   3 -> 2

Every block is sent directly to its receiver, and no rank receives from two others at once. Best for long
blocks:

    (p - 1) alpha + (p - 1)/p n beta            n bytes on each rank, n/p for each other rank

Source: Thakur, Rabenseifner, Gropp 2005, section 3.2 (long messages).
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import pieces


def all_to_all(channel: Channel, source: np.ndarray, out: np.ndarray, gives: Sequence[int],
               takes: Sequence[int]) -> AlgorithmSteps:
    """gives[r], takes[r]: the elements for and from rank r, which stand one after the other in `source` and
    in `out`.
    """
    send_buffers, receive_buffers = pieces(source, gives), pieces(out, takes)
    np.copyto(receive_buffers[channel.rank], send_buffers[channel.rank])
    for step in range(1, channel.size):
        right, left = (channel.rank + step) % channel.size, (channel.rank - step) % channel.size
        yield from exchange(channel, send_buffers[right], right, receive_buffers[left], left)
