"""Reads one array in NumPy's format (.npy). The shape and the dtype in the header are checked before the
array is created.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from minipar.errors import MiniparError

HEADER = 10_000  # largest size of a header in bytes, as in numpy.load
MOST_AXES, LARGEST = 32, 2**63 - 1                                  # LARGEST: bytes of an array


class Declared(NamedTuple):
    """The shape and the dtype that a header declares."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class NpyHeader(NamedTuple):
    """The header of an .npy file. offset: the position of the first number in bytes."""

    declared: Declared
    fortran: bool
    offset: int


def read_header(data: bytes, where: object, error: type[MiniparError]) -> NpyHeader:
    """Read the header at the beginning of an .npy file. data: at least the first HEADER + 16 bytes of the
    file.

    Raises `error` for an invalid header, for an array of Python objects, and for elements of zero bytes. A
    tiny file could declare any number of elements of zero bytes.
    """
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version not in READERS:
            raise ValueError(f"version {version}")
        with ONE_AT_A_TIME:
            shape, fortran, dtype = READERS[version](stream, max_header_size=HEADER)
        if dtype.hasobject or not is_possible(shape, dtype):
            raise ValueError(f"shape {shape} of {dtype}")
    except Exception as cause:  # NumPy raises many types of errors: SyntaxError, MemoryError, ...
        raise error(f"{where} is damaged, or not an array of numbers", item=str(where)) from cause
    return NpyHeader(Declared(tuple(map(int, shape)), dtype), fortran, stream.tell())


def is_possible(shape: Sequence[int], dtype: np.dtype) -> bool:
    """Returns whether NumPy can create an array of this shape and dtype. It must have at most 32 axes and
    elements of at least one byte. NumPy multiplies the lengths of all axes except the empty ones. The product
    must fit into 64 bits.

    >>> is_possible((3, 2), np.dtype("f4")), is_possible((0, 2**70), np.dtype("f4"))
    (True, False)
    """
    if not dtype.itemsize or len(shape) > MOST_AXES or any(length < 0 for length in shape):
        return False
    return math.prod(max(length, 1) for length in shape) * dtype.itemsize <= LARGEST


# Ranks may be threads. NumPy reads a header with ast.literal_eval. If two threads use Python's parser at the
# same time, it may raise a SystemError in rare cases (python/cpython#106905).
ONE_AT_A_TIME = threading.Lock()
READERS: dict[tuple[int, int], Any] = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_array(data: bytearray, where: object, error: type[MiniparError]) -> np.ndarray:
    """Returns the array of a whole .npy file. The array shares memory with `data`.

    Raises `error` if the length of `data` does not fit the header.
    """
    header = read_header(bytes(data[:HEADER + 16]), where, error)
    shape, dtype = header.declared
    if len(data) != header.offset + header.declared.nbytes:
        raise error(f"{where} is damaged: {len(data) - header.offset:,} bytes for shape {shape} of {dtype}")
    flat = np.frombuffer(data, dtype, offset=header.offset)
    return flat.reshape(shape[::-1]).T if header.fortran else flat.reshape(shape)
