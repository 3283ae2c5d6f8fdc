"""Finds the memory of a buffer that a program passes, and the type of its elements.

A buffer is any object whose memory is contiguous. Examples are NumPy arrays (in C or Fortran order),
array.array, bytes, bytearray and memoryview. Objects with DLPack or CUDA's array interface are also buffers,
if their memory is on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minipar.mpi4py_face.datatypes import BYTES, Datatype, NoTypeError, of_dtype
from minipar.mpi4py_face.dlpack import dlpack_interface
from minipar.mpi4py_face.refused import not_offered

NOTHING = np.empty(0, np.uint8)


class InPlace(int):
    """The class of MPI.IN_PLACE. A rank passes MPI.IN_PLACE as send buffer if the data to send are already in
    the receive buffer.
    """

    def __repr__(self) -> str:
        return "IN_PLACE"

    def __reduce__(self) -> str:
        return "IN_PLACE"


class Bottom(int):
    """The class of MPI.BOTTOM, which is an address in memory. A NumPy array cannot represent it."""

    def __repr__(self) -> str:
        return "BOTTOM"

    def __reduce__(self) -> str:
        return "BOTTOM"


def is_in_place(buf: Any) -> bool:
    """Returns whether buf is MPI.IN_PLACE or None. As in mpi4py, both mean the same."""
    return buf is None or isinstance(buf, InPlace)


IN_PLACE, BOTTOM = InPlace(-1), Bottom(0)


def memory_of(value: Any, writable: bool) -> tuple[np.ndarray, Datatype | None]:
    """Returns (the memory of an object as uint8, the type of its elements or None)."""
    if value is None:
        return NOTHING, BYTES
    if isinstance(value, Bottom):
        raise not_offered("MPI.BOTTOM", "addresses in memory are not offered; pass the array itself: "
                                        "[array, type]")
    array = value if isinstance(value, np.ndarray) else array_of(value)
    if writable and not array.flags.writeable:
        raise BufferError("the buffer is read-only, and the call would write to it; pass a copy")
    if array.flags.c_contiguous:
        flat = array.reshape(-1)
    elif array.flags.f_contiguous:
        flat = array.T.reshape(-1)
    else:
        raise BufferError("the buffer is not contiguous in memory; pass np.ascontiguousarray(...), or a row "
                          "instead of a column")
    if array.dtype.hasobject:
        raise NoTypeError("message: an array of Python objects has no memory to send; use comm.send")
    raw = flat.view(np.uint8) if flat.size else NOTHING
    try:
        return raw, of_dtype(array.dtype)
    except NoTypeError:
        return raw, None


def array_of(value: Any) -> np.ndarray:
    """Returns an array over the memory of a buffer that is not a NumPy array. Raises TypeError for an object
    that is not a buffer.
    """
    try:
        view = memoryview(value)
    except TypeError:
        return foreign_array(value)
    if not view.contiguous:
        raise BufferError("the buffer is not contiguous in memory; pass a contiguous copy")
    return np.asarray(view)


def foreign_array(value: Any) -> np.ndarray:
    """Returns an array over the host memory of an object that has no memoryview. The object must have NumPy's
    array interface, DLPack, or CUDA's array interface.
    """
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        if (found := dlpack_interface(value)) is None:
            raise not_offered("a message", ON_A_GPU)
        return at_address(found, value)
    if hasattr(value, "__cuda_array_interface__"):
        interface = value.__cuda_array_interface__
        if interface["data"][0] and not is_host_memory(interface["data"][0]):
            raise not_offered("a message", ON_A_GPU)
        return at_address(interface, value)
    raise TypeError(f"message: expecting buffer or list/tuple, not {type(value).__name__}; send an object "
                    "with the lower-case call (comm.send)")


ON_A_GPU = "memory on a GPU is not offered; copy it to the host first, for CuPy with x.get()"


def at_address(interface: dict[str, Any], owner: Any) -> np.ndarray:
    """Returns the array that an interface describes. The array keeps the owner of the memory alive."""

    class Described:
        __array_interface__ = {"strides": None, **interface, "version": 3}
        kept = owner

    return np.asarray(Described())


def is_host_memory(address: int) -> bool:
    """Returns whether the address is in a mapped range of this process, according to /proc (proc(5))."""
    try:
        with open("/proc/self/maps", encoding="ascii", errors="replace") as table:
            ranges = (line.split()[0].split("-") for line in table)
            return any(int(first, 16) <= address < int(end, 16) for first, end in ranges)
    except OSError:  # without /proc this is unknown, and the address may be on a GPU
        return False


def is_buffer(value: Any) -> bool:
    if isinstance(value, (np.ndarray, bytes, bytearray, memoryview)) or value is None:
        return True
    if isinstance(value, (list, tuple)):
        return False
    try:
        memoryview(value)
    except TypeError:
        return any(hasattr(value, name)
                   for name in ("__dlpack__", "__cuda_array_interface__", "__array_interface__"))
    return True
