"""Ranks of one node share its memory: no message needs to carry the array at all.

Each rank reads the others' arrays where they stand, adds up its own p-th of the total, and copies the other p-ths
from their owners:

    barrier       everyone has written its array
    add           rank r: chunk r of its array += chunk r of all others
    barrier       all sums are complete
    copy          rank r: chunk s from rank s, for all s
    barrier       all copies are made: the arrays may change again

    3 ceil(log2 p) alpha for the barriers; the bytes cost only memory bandwidth

This needs an array that the others can see: make it with `shared_array`. A plain array is staged through such memory,
stage by stage, which works but copies everything twice more.

Source: Hoefler, Dinan, Buntinas et al. 2013, "MPI + MPI: a new hybrid approach to parallel programming with MPI plus
shared memory".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.comm.collectives.arguments import address
from minipar.comm.collectives.channel import Channel, Steps, meet
from minipar.comm.collectives.chunks import copy_unless_same, edges, even_counts
from minipar.comm.protocol import Communicator

PAGE = 4096                         # bytes; ranks' slots start on their own pages
BLOCK_BYTES = 1 << 17               # a sum of several arrays is made in blocks that stay in a core's cache
STAGE_BYTES = 1 << 21               # per rank, for arrays that are not shared


class SharedArray(np.ndarray):
    """One rank's array in memory that every rank of its group sees. Its views are SharedArrays too.

    Computing with it gives arrays that are no longer in that memory; collectives notice this by their address.
    """

    slots: dict[int, np.ndarray] | None                             # world rank -> that rank's memory, uint8

    def __array_finalize__(self, parent: Any) -> None:
        self.slots = getattr(parent, "slots", None)


def shared_array(comm: Communicator, shape: int | tuple[int, ...], dtype: Any, *, why: str) -> SharedArray:
    """An array of zeros on each rank, in memory that all ranks of `comm` see. All ranks call it with the same shape and dtype.

    Give it, or the same view of it on every rank, to `all_reduce` as `out`. Raises CommError where `comm` spans several nodes.
    """
    shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
    comm.entering("shared_array", shape, dtype, why=why)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    stride = -(-nbytes // PAGE) * PAGE
    block = comm.shared(comm.size * stride, why=why)
    slots = {member: block[rank * stride:rank * stride + nbytes] for rank, member in enumerate(comm.members)}
    array = slots[comm.members[comm.rank]].view(dtype).reshape(shape).view(SharedArray)
    array.slots = slots
    return array


def seen_by_all(comm: Communicator, array: np.ndarray) -> list[np.ndarray] | None:
    """Every rank's counterpart of this array, flat; None if it is not in shared memory that all ranks of `comm` see."""
    slots = getattr(array, "slots", None)
    if slots is None or not all(member in slots for member in comm.members):
        return None
    own = slots[comm.members[comm.rank]]
    offset = address(array) - address(own)
    if not 0 <= offset <= own.nbytes - array.nbytes:
        return None
    return [slots[member][offset:offset + array.nbytes].view(array.dtype) for member in comm.members]


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> Steps:
    arrays = seen_by_all(channel.comm, out)
    if arrays is not None:
        copy_unless_same(source, out)
        yield from add_in_place(channel, arrays, combine)
        return
    stage = staging(channel.comm).view(out.dtype)
    for start in range(0, max(1, out.size), stage.size):
        part = slice(start, min(start + stage.size, out.size))
        held = stage[:part.stop - part.start]
        held[:] = source[part]
        arrays = seen_by_all(channel.comm, held)
        assert arrays is not None, "the staging memory is shared"
        yield from add_in_place(channel, arrays, combine)
        out[part] = held


def add_in_place(channel: Channel, arrays: list[np.ndarray], combine: np.ufunc) -> Steps:
    """arrays: every rank's, flat; each of them holds the total at the end."""
    rank, mine = channel.rank, arrays[channel.rank]
    others = arrays[rank + 1:] + arrays[:rank]                      # each rank starts with another neighbour
    edge = edges(even_counts(mine.size, channel.size))
    length = BLOCK_BYTES // mine.itemsize
    yield from meet(channel)
    for start in range(edge[rank], edge[rank + 1], length):
        block = slice(start, min(start + length, edge[rank + 1]))
        for other in others:
            combine(mine[block], other[block], out=mine[block])
    yield from meet(channel)
    for owner, array in enumerate(arrays):
        if owner != rank:
            chunk = slice(edge[owner], edge[owner + 1])
            mine[chunk] = array[chunk]
    yield from meet(channel)


def staging(comm: Communicator) -> SharedArray:
    """A piece of shared memory that the communicator keeps for its next collective."""
    if comm.staging is None:
        comm.staging = shared_array(comm, STAGE_BYTES, np.uint8, why="staging")
    return comm.staging
