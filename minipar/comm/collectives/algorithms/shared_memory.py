"""An all-reduce in memory that the ranks of one node share. No message carries the array.

Each rank reads the other ranks' arrays directly. Rank r of p ranks sums chunk r, which is 1/p of the array.
Then it copies the other chunks from the ranks that have summed them:

    barrier       then all ranks have written their arrays
    add           rank r adds chunk r of all other arrays to chunk r of its own array
    barrier       then all sums are complete
    copy          rank r copies chunk s from rank s, for all other ranks s
    barrier       then all copies are complete, and the arrays may change

The three barriers cost 3 ceil(log2 p) alpha (alpha: seconds per message). Their messages carry no data.

The array must be in shared memory; make it with `shared_array`. A plain array is copied through a staging
buffer, piece by piece. This costs two more copies of all data.

Source: Hoefler, Dinan, Buntinas et al. 2013, "MPI + MPI: a new hybrid approach to parallel programming with
MPI plus shared memory".
"""

import numpy as np

from minipar.comm.collectives.channel import AlgorithmSteps, Channel, meet
from minipar.comm.collectives.chunks import copy_unless_same, edges, even_counts
from minipar.comm.collectives.shared_array import (
    SharedArray,
    check_locations,
    location_in_shared_memory,
    shared_array,
    tell_location,
)
from minipar.comm.protocol import Communicator

BLOCK_BYTES = 1 << 17               # arrays are summed in blocks of this size, which stay in a core's cache
STAGE_BYTES = 1 << 21               # size of each rank's staging buffer, for arrays that are not shared


def all_reduce(channel: Channel, source: np.ndarray, out: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    if location_in_shared_memory(channel.comm, out) is not None:
        copy_unless_same(source, out)
        yield from add_shared(channel, out, combine)
        return
    stage = staging(channel.comm).view(out.dtype)
    for start in range(0, max(1, out.size), stage.size):
        part = slice(start, min(start + stage.size, out.size))
        held = stage[:part.stop - part.start]
        held[:] = source[part]
        yield from add_shared(channel, held, combine)
        out[part] = held


def add_shared(channel: Channel, shared: np.ndarray, combine: np.ufunc) -> AlgorithmSteps:
    """Reduce in place. shared: this rank's flat array, in memory that all ranks can read."""
    comm, rank, mine = channel.comm, channel.rank, shared.view(np.ndarray)
    location = location_in_shared_memory(comm, shared)
    assert location is not None, "only called for shared memory"
    memory, offset = location
    tell_location(channel, memory, offset)
    yield from meet(channel)
    check_locations(channel, memory, offset)
    arrays = [memory.bytes[member][offset:offset + mine.nbytes].view(mine.dtype) for member in comm.members]
    others = arrays[rank + 1:] + arrays[:rank]  # each rank starts with a different neighbour
    edge = edges(even_counts(mine.size, channel.size))
    length = BLOCK_BYTES // mine.itemsize
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
    """Returns a piece of shared memory that the communicator keeps for its next collective."""
    if comm.staging is None:
        comm.staging = shared_array(comm, STAGE_BYTES, np.uint8, label="staging")
    stage: SharedArray = comm.staging
    return stage
