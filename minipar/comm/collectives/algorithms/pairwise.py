"""An all-to-all with one partner at a time. In step s, rank r sends to rank r + s and receives from rank r -
s. After the last rank comes rank 0.

    step 1    0 -> 1   1 -> 2   2 -> 3   3 -> 0
    step 2    0 -> 2   1 -> 3   2 -> 0   3 -> 1
    step 3    0 -> 3   1 -> 0   2 -> 1   3 -> 2

Every block is sent directly to its receiver, and no rank receives from two others at once. This algorithm is
the best for long blocks. Let p be the number of ranks and n the bytes of each rank's array. The cost (alpha:
seconds per message, beta: seconds per byte) is:

    (p - 1) alpha + (p - 1)/p n beta

Source: Thakur, Rabenseifner, Gropp 2005, section 3.2 (long messages).
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange
from minipar.comm.collectives.chunks import pieces


def all_to_all(channel: Channel, source: np.ndarray, out: np.ndarray, send_counts: Sequence[int],
               receive_counts: Sequence[int]) -> AlgorithmSteps:
    """Send one block to each rank. send_counts[r] is the number of elements for rank r, and receive_counts[r]
    the number of elements from rank r. The blocks are consecutive in `source` and in `out`.
    """
    send_buffers, receive_buffers = pieces(source, send_counts), pieces(out, receive_counts)
    np.copyto(receive_buffers[channel.rank], send_buffers[channel.rank])
    for step in range(1, channel.size):
        right, left = (channel.rank + step) % channel.size, (channel.rank - step) % channel.size
        yield from exchange(channel, send_buffers[right], right, receive_buffers[left], left)
