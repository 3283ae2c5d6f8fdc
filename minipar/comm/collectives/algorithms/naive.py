"""The simplest collectives: all data pass through one rank. The tests compare all other algorithms with them.

    0 <- 1, 0 <- 2, 0 <- 3, ...        then        0 -> 1, 0 -> 2, 0 -> 3, ...

With p ranks, rank 0 (or the root) receives p - 1 messages and sends p - 1, one after the other. Meanwhile the
other ranks are idle. The costs, for n bytes (alpha: seconds per message, beta: seconds per byte), are:

    broadcast, reduce    (p - 1) (alpha + n beta)
    all-reduce         2 (p - 1) (alpha + n beta)

The busiest link carries 2 (p - 1) n bytes for an all-reduce, while a ring's links carry 2 (p - 1)/p n. The
naive algorithms serve as a reference because they are obviously correct. Their reductions add the arrays in
the order of the ranks.
"""

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel
from minipar.comm.collectives.chunks import copy_unless_same, pieces


def broadcast(channel: Channel, buffer: np.ndarray, root: int) -> AlgorithmSteps:
    """The root sends `buffer` to one rank after the other."""
    if channel.rank == root:
        yield from [channel.send(buffer, rank) for rank in range(channel.size) if rank != root]
    else:
        yield channel.receive(buffer, root)


def reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc,
           root: int) -> AlgorithmSteps:
    """The root receives one array after the other and adds them: ((x0 + x1) + x2) + ... Other ranks' `out` is
    not used.
    """
    if channel.rank != root:
        yield channel.send(source, root)
        return
    own, incoming = source.copy() if root else source, np.empty_like(source)
    for rank in range(channel.size):
        if rank != root:
            yield channel.receive(incoming, rank)
        term = own if rank == root else incoming
        if rank == 0:
            copy_unless_same(term, out)
        else:
            combine(out, term, out=out)


def gather(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
           root: int) -> AlgorithmSteps:
    """The root receives every rank's piece into its position in `out`. Other ranks' `out` is not used."""
    if channel.rank != root:
        yield channel.send(source, root)
        return
    receive_buffers = pieces(out, counts)
    np.copyto(receive_buffers[root], source)
    yield from [channel.receive(receive_buffers[rank], rank) for rank in range(channel.size) if rank != root]


def scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
            root: int) -> AlgorithmSteps:
    """The root sends every rank its piece of `source`. Other ranks' `source` is not used."""
    if channel.rank != root:
        yield channel.receive(out, root)
        return
    send_buffers = pieces(source, counts)
    np.copyto(out, send_buffers[root])
    yield from [channel.send(send_buffers[rank], rank) for rank in range(channel.size) if rank != root]


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    yield from reduce(channel, source, out, combine, root=0)
    yield from broadcast(channel, out, root=0)


def reduce_scatter(channel: Channel, source: np.ndarray, out: np.ndarray, counts: Sequence[int],
                   combine: np.ufunc) -> AlgorithmSteps:
    total = np.empty_like(source) if channel.rank == 0 else source
    yield from reduce(channel, source, total, combine, root=0)
    yield from scatter(channel, total, out, counts, root=0)


def all_gather(channel: Channel, out: np.ndarray, counts: Sequence[int]) -> AlgorithmSteps:
    """Gather on rank 0, then broadcast. Each rank's own piece is already at its position in `out`."""
    yield from gather(channel, pieces(out, counts)[channel.rank], out, counts, root=0)
    yield from broadcast(channel, out, root=0)


def all_to_all(channel: Channel, source: np.ndarray, out: np.ndarray, send_counts: Sequence[int],
               receive_counts: Sequence[int]) -> AlgorithmSteps:
    """Every rank sends to every rank, in the order of ranks. The data do not pass through rank 0, since it
    does not have the sizes of all messages.

    Every rank sends its message for the last rank at the end. So the last rank receives its p - 1 messages
    after all other messages. The cost for p ranks is (2p - 3) (alpha + n/p beta).
    """
    send_buffers, receive_buffers = pieces(source, send_counts), pieces(out, receive_counts)
    np.copyto(receive_buffers[channel.rank], send_buffers[channel.rank])
    others = [rank for rank in range(channel.size) if rank != channel.rank]
    receiving = [channel.receive(receive_buffers[rank], rank) for rank in others]
    sending = [channel.send(send_buffers[rank], rank) for rank in others]
    yield from receiving + sending
