"""Reads the buffer arguments of calls: `a`, `[a, MPI.DOUBLE]`, `[a, count]`, `[a, counts, displs, type]`.

The errors are the same as in mpi4py: TypeError for an object without a buffer, ValueError for wrong counts.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from minipar.mpi4py_face.datatypes import BYTES, CODE_BY_DTYPE, Datatype, from_code, of_dtype
from minipar.mpi4py_face.host_memory import NOTHING, is_buffer, memory_of


@dataclass
class Buffer:
    """A buffer of `count` items of a type. The items start at byte `offset` of `memory` (uint8).

    counts, offsets: the number of items and the first byte of each rank's block, for a call with one block
    for each rank; otherwise empty.
    """

    memory: np.ndarray
    datatype: Datatype
    count: int
    offset: int = 0
    counts: Sequence[int] = ()
    offsets: Sequence[int] = ()
    datatypes: Sequence[Datatype] = ()  # the types of the ranks' blocks, if they differ

    @property
    def nbytes(self) -> int:
        """Returns the size of the message in bytes."""
        return self.count * self.datatype.size

    def raw(self) -> np.ndarray | None:
        """Returns the bytes of the message as a view of the memory; None if they are not contiguous."""
        return self.memory[self.offset:self.offset + self.nbytes] if self.datatype.contiguous else None

    def byte_indices(self, offset: int, count: int) -> np.ndarray:
        """Returns the indices in `memory` of all bytes of `count` items. The first item starts at `offset`.
        """
        datatype = self.datatype
        assert datatype.base is not None
        items: np.ndarray = offset + np.arange(count)[:, None] * datatype.extent + datatype.offsets
        return (items.reshape(-1, 1) + np.arange(datatype.base.itemsize)).reshape(-1)

    def pack(self) -> np.ndarray:
        """Returns the bytes of the message, uint8 [nbytes], as a view if possible."""
        raw = self.raw()
        if raw is None:
            raw = self.memory[self.byte_indices(self.offset, self.count)]
        return raw

    def unpack(self, data: np.ndarray) -> None:
        """Copy received bytes into the memory. If fewer bytes than expected were received, the rest of the
        memory is unchanged.
        """
        raw = self.raw()
        if raw is None:
            self.memory[self.byte_indices(self.offset, self.count)[:data.size]] = data
        elif raw.ctypes.data != data.ctypes.data:
            raw[:data.size] = data

    def pack_blocks(self) -> np.ndarray:
        """Returns the concatenated blocks of all ranks, uint8 [sum(counts) * size]."""
        return np.concatenate([self.block(rank).pack() for rank in range(len(self.counts))] or [NOTHING])

    def unpack_blocks(self, data: np.ndarray, skip: int = -1) -> None:
        """Copy concatenated blocks into the memory. This is the inverse of `pack_blocks`. skip: a rank whose
        block is not copied.
        """
        start = 0
        for rank, count in enumerate(self.counts):
            end = start + count * self.type_of(rank).size
            if rank != skip:
                self.block(rank).unpack(data[start:end])
            start = end

    def block(self, rank: int) -> Buffer:
        return Buffer(self.memory, self.type_of(rank), self.counts[rank], self.offsets[rank])

    def type_of(self, rank: int) -> Datatype:
        return self.datatypes[rank] if self.datatypes else self.datatype

    def bytes_of_blocks(self) -> list[int]:
        return [count * self.type_of(rank).size for rank, count in enumerate(self.counts)]


def parts_of(spec: Any, vector: bool) -> tuple[Any, Any, Any, Any]:
    """Split a buffer argument into (buffer, count, displacement, type). vector: whether the call has one
    count and one displacement for each rank.
    """
    if isinstance(spec, (list, tuple)):
        count = displ = datatype = None
        if len(spec) == 2:
            value, count = spec
            if isinstance(count, (Datatype, str)):
                count, datatype = None, count
        elif len(spec) == 3:
            value, count, datatype = spec
        elif len(spec) == 4:
            value, count, displ, datatype = spec
        else:
            raise ValueError("message: expecting 2 to 4 items")
        if len(spec) < 4 and isinstance(count, tuple if vector else (tuple, list)):
            count, displ = count
        return value, count, displ, datatype
    if is_buffer(spec) and spec is not None:
        return spec, None, None, None
    raise TypeError(f"message: expecting buffer or list/tuple, not {type(spec).__name__}; send an object "
                    "with the lower-case call (comm.send)")


def typed(value: Any, datatype: Any, writable: bool) -> tuple[np.ndarray, Datatype]:
    memory, own = memory_of(value, writable)
    if datatype is None:
        if own is None:
            of_dtype(np.asarray(value).dtype)                       # raises NoTypeError
        assert own is not None
        return memory, own
    given = from_code(datatype) if isinstance(datatype, str) else datatype
    if not isinstance(given, Datatype):
        raise TypeError(f"message: expecting a datatype, not {type(given).__name__}")
    return memory, given


def items_in(nbytes: int, datatype: Datatype) -> int:
    """Returns the number of items of a type that `nbytes` bytes hold."""
    if nbytes == 0:
        return 0
    if not datatype:
        raise ValueError("message: cannot infer count, datatype is null")
    if datatype.extent <= 0 or nbytes % datatype.extent:
        raise ValueError(f"message: cannot infer count, buffer length {nbytes} is not a multiple of datatype "
                         f"extent {datatype.extent} ({datatype.name})")
    return nbytes // datatype.extent


def whole(spec: Any, writable: bool) -> tuple[np.ndarray, int] | None:
    """Returns (array, type code) for a contiguous NumPy array, alone or as [array, type]. Returns None for
    any other buffer argument.

    minipar sends and receives such an array itself. This is 10 microseconds faster than a `Buffer`.
    """
    given = None
    if (type(spec) is list or type(spec) is tuple) and len(spec) == 2:
        spec, given = spec
    if type(spec) is not ndarray:
        return None
    flags = spec.flags  # carray: contiguous, aligned and writable
    code = CODE_BY_DTYPE.get(spec.dtype) if spec.size and (
        flags.carray if writable else flags.c_contiguous) else None
    if given is None or code is None:
        return None if code is None else (spec, code)
    if type(given) is Datatype and given.contiguous and given.size and spec.nbytes % given.size == 0:
        return spec, given.type_code
    return None


def simple(spec: Any, *, writable: bool, blocks: int = 0) -> Buffer:
    """Returns a buffer for one message (blocks is 0), or for `blocks` blocks of equal size.

    Raises TypeError, ValueError or BufferError in the same cases as mpi4py. Also raises ValueError for a
    buffer that is too small.
    """
    value, count, displ, given = parts_of(spec, vector=False)
    memory, datatype = typed(value, given, writable)
    offset = (0 if displ is None else operator.index(displ)) * datatype.extent
    if offset < 0:
        raise ValueError(f"message: negative displacement {displ}")
    if offset > memory.size:
        raise ValueError(f"message: displacement {displ} out of bounds, number of datatype entries "
                         f"{memory.size // datatype.extent}")
    if count is None:
        count = items_in(memory.size - offset, datatype)
        if count % max(blocks, 1):
            raise ValueError(f"message: cannot infer count, number of entries {count} is not a multiple of "
                             f"required number of blocks {blocks}")
        count //= max(blocks, 1)
    count = operator.index(count)
    if count < 0:
        raise ValueError(f"message: negative count {count}")
    if count > 0 and value is None:
        raise ValueError(f"message: buffer is None but count is {count}")
    check_room(memory, datatype, offset, count * max(blocks, 1))
    step = count * datatype.extent
    return Buffer(memory, datatype, count, offset, [count] * blocks,
                  [offset + rank * step for rank in range(blocks)])


def vector(spec: Any, *, writable: bool, blocks: int) -> Buffer:
    """Returns a buffer of one block for each rank. Each block has its own count and displacement."""
    value, counts, displs, given = parts_of(spec, vector=True)
    memory, datatype = typed(value, given, writable)
    if counts is None:
        items = items_in(memory.size, datatype)
        counts = [items // blocks + (rank < items % blocks) for rank in range(blocks)]
    counts = spread(counts, blocks, "counts")
    if displs is None:
        displs = [sum(counts[:rank]) for rank in range(blocks)]
    elif np.ndim(displs) == 0:
        displs = [rank * operator.index(displs) for rank in range(blocks)]
    displs = spread(displs, blocks, "displacements")
    for count, displ in zip(counts, displs, strict=True):
        if count < 0:
            raise ValueError(f"message: negative count {count}")
        check_room(memory, datatype, displ * datatype.extent, count)
    return Buffer(memory, datatype, sum(counts), 0, counts, [displ * datatype.extent for displ in displs])


def vector_of_types(spec: Any, *, writable: bool, blocks: int) -> Buffer:
    """Returns a buffer of one block for each rank, for Alltoallw. Each block has its own count, displacement
    and type. Displacements are in bytes.
    """
    if len(spec) == 2:
        value, types = spec
        counts, displs = [1] * blocks, [0] * blocks
    elif len(spec) == 3:
        value, (counts, displs), types = spec
    elif len(spec) == 4:
        value, counts, displs, types = spec
    else:
        raise ValueError("message: expecting 2 to 4 items")
    memory, _ = memory_of(value, writable)
    counts, displs = spread(counts, blocks, "counts"), spread(displs, blocks, "displacements")
    datatypes = [from_code(each) if isinstance(each, str) else each for each in types]
    for count, displ, datatype in zip(counts, displs, datatypes, strict=True):
        check_room(memory, datatype, displ, count)
    return Buffer(memory, BYTES, sum(counts), 0, counts, displs, datatypes)


def spread(numbers: Any, blocks: int, name: str) -> list[int]:
    """Returns one number for each rank. A single number is used for all ranks."""
    if np.ndim(numbers) == 0:
        return [operator.index(numbers)] * blocks
    found = [operator.index(number) for number in np.asarray(numbers).reshape(-1).tolist()]
    if len(found) != blocks:
        raise ValueError(f"message: expecting {blocks} {name}, one for each rank, got {len(found)}")
    return found


def check_room(memory: np.ndarray, datatype: Datatype, offset: int, count: int) -> None:
    """Raises ValueError if the items do not fit in the memory. MPI would read or write beyond the memory."""
    if count == 0 or datatype.size == 0:
        return
    low, length = datatype.Get_true_extent()
    first, end = offset + low, offset + low + (count - 1) * datatype.extent + length
    if first < 0 or end > memory.size:
        raise ValueError(f"message: buffer of {memory.size} bytes is too small: {count} items of "
                         f"{datatype.name or 'the type'} reach from byte {first} to byte {end}")
