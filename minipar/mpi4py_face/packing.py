"""Packing: copies items of several datatypes one after the other into one buffer of bytes, and back.

Example: 2 ints and 1 double are packed into 16 bytes. A program sends these bytes as MPI.PACKED in one
message. minipar packs items as they are in memory, so a packed item has the size of its datatype.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minipar.mpi4py_face.buffers import Buffer, simple
from minipar.mpi4py_face.datatypes import Datatype
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.host_memory import memory_of


def pack(datatype: Datatype, inbuf: Any, outbuf: Any, position: int, comm: Any) -> int:
    """Copy all items of `inbuf` to `outbuf`, from byte `position` on. Returns the position behind them."""
    comm._enter()
    data = items_of(datatype, inbuf, writable=False).pack()
    memory, _ = memory_of(outbuf, writable=True)
    packed_bytes(memory, position, data.size)[:] = data
    return position + data.size


def unpack(datatype: Datatype, inbuf: Any, position: int, outbuf: Any, comm: Any) -> int:
    """Fill `outbuf` with the items that begin at byte `position` of `inbuf`. Returns the position behind
    them.
    """
    comm._enter()
    buffer = items_of(datatype, outbuf, writable=True)
    memory, _ = memory_of(inbuf, writable=False)
    buffer.unpack(packed_bytes(memory, position, buffer.nbytes))
    return position + buffer.nbytes


def items_of(datatype: Datatype, buf: Any, *, writable: bool) -> Buffer:
    """Returns the largest number of whole items of a datatype that a buffer holds."""
    memory, _ = memory_of(buf, writable)
    if datatype.extent <= 0:
        raise wrong("ERR_TYPE", f"the datatype has an extent of {datatype.extent} bytes, so its items cannot "
                                "be counted")
    return simple([buf, memory.size // datatype.extent, datatype], writable=writable)


def packed_bytes(memory: np.ndarray, position: int, nbytes: int) -> np.ndarray:
    """Returns the bytes of packed items. Raises ERR_TRUNCATE if the buffer is too small for them."""
    begin = operator.index(position)
    if not 0 <= begin <= memory.size - nbytes:
        raise wrong("ERR_TRUNCATE", f"{nbytes} packed bytes at position {begin} do not fit in a buffer of "
                                    f"{memory.size} bytes; Pack_size returns the size that is needed")
    return memory[begin:begin + nbytes]
