"""Makes arrays in memory that all ranks of a node share. It also finds the location of an array in this
memory.

The engine allocates one block of bytes for all ranks (`Communicator.shared`). The functions of this file give
each rank its part of the block as an ordinary array. The array also holds references to the other ranks'
parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import index
from typing import Any, SupportsIndex

import numpy as np

from minipar.comm.collectives.arguments import Call, address
from minipar.comm.collectives.channel import Channel
from minipar.comm.protocol import CODES, Communicator

PAGE = 4096                         # size of a page in bytes; each rank's part starts at a new page
WORDS = np.dtype([("tag", np.int64), ("offset", np.int64)])


@dataclass(frozen=True)
class SharedMemory:
    """The parts of one shared block, by world rank. Each rank has bytes for its array. It also has one page
    of words, to which it writes the tag and the offset of its current call.
    """

    bytes: dict[int, np.ndarray]                                    # uint8 [nbytes]
    words: dict[int, np.ndarray]                                    # WORDS [one page]


class SharedArray(np.ndarray):
    """One rank's array in shared memory. Its views are SharedArrays too.

    The result of a computation with a SharedArray is also a SharedArray, but it is not in shared memory. So
    collectives do not rely on the type. They check whether the array's address is in the shared memory.
    """

    memory: SharedMemory | None

    def __array_finalize__(self, parent: Any) -> None:
        self.memory = getattr(parent, "memory", None)


def shared_array(comm: Communicator, shape: int | tuple[int, ...], dtype: Any, *,
                 label: str | None = None) -> SharedArray:
    """Returns an array of zeros on each rank, in memory that all ranks of `comm` share. All ranks call this
    function with the same shape and dtype.

    Pass this array to `all_reduce` as `out`. A view of the array is allowed if all ranks pass the same view.
    Raises CommError if `comm` spans several nodes.
    """
    shape, dtype = shape_and_dtype(Call(comm, "shared_array", label), shape, dtype)
    comm.entering("shared_array", shape, dtype, label=label)
    nbytes = math.prod(shape) * dtype.itemsize  # Python integers do not overflow
    pages = 1 + -(-nbytes // PAGE)
    parts = comm.shared(comm.size * pages * PAGE, label=label).reshape(comm.size, -1)
    memory = SharedMemory(
        {member: parts[rank, PAGE:PAGE + nbytes] for rank, member in enumerate(comm.members)},
        {member: parts[rank, :PAGE].view(WORDS) for rank, member in enumerate(comm.members)})
    array: SharedArray = memory.bytes[comm.members[comm.rank]].view(dtype).reshape(shape).view(SharedArray)
    array.memory = memory
    return array


def shape_and_dtype(call: Call, shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Returns the shape and the dtype in NumPy's form. Raises CommError for an invalid shape or dtype."""
    try:
        lengths = tuple(map(index, (shape,) if isinstance(shape, SupportsIndex) else shape))
        known = np.dtype(dtype)
    except TypeError as error:
        raise call.wrong("shape", "needs a shape and a dtype, as np.empty does, not "
                                  f"{shape!r:.40} and {dtype!r:.40}") from error
    if min(lengths, default=0) < 0:
        raise call.wrong("shape", f"has shape {lengths}, with a length below 0")
    if known not in CODES:
        raise call.wrong("dtype", f"cannot carry dtype {known}; use one of {', '.join(map(str, CODES))}")
    return lengths, known


def location_in_shared_memory(comm: Communicator, array: np.ndarray) -> tuple[SharedMemory, int] | None:
    """Returns the shared memory of `comm` that holds the array, and the array's offset in this rank's part,
    in bytes. Returns None for an array that is not in such memory.
    """
    memory = getattr(array, "memory", None)
    if memory is None or not all(member in memory.bytes for member in comm.members):
        return None
    own = memory.bytes[comm.members[comm.rank]]
    offset = address(array) - address(own)
    return (memory, offset) if 0 <= offset <= own.nbytes - array.nbytes else None


def tell_location(channel: Channel, memory: SharedMemory, offset: int) -> None:
    """Write the tag and the offset of this call. The other ranks compare these two numbers with their own, to
    check that all ranks use the same view.
    """
    words = memory.words[channel.comm.members[channel.rank]]
    words[channel.tag % len(words)] = channel.tag, offset


def check_locations(channel: Channel, memory: SharedMemory, offset: int) -> None:
    """Raises CommError if another rank has written a different tag or offset."""
    comm = channel.comm
    for rank, member in enumerate(comm.members):
        words = memory.words[member]
        tag, said = words[channel.tag % len(words)].tolist()
        if (tag, said) != (channel.tag, offset):
            where = f"at byte {said}" if tag == channel.tag else "in another one"
            raise channel.wrong("all_reduce", "array",
                                f"works at byte {offset} of a shared array, but on rank {rank} {where}; give "
                                "all ranks the same view")
