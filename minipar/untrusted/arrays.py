"""One array in NumPy's own format (.npy): its header says a shape and a dtype, which are compared before an
array is made.
"""

from __future__ import annotations

import io
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from minipar.errors import MiniparError

HEADER = 10_000                                                     # bytes at most, as numpy.load has it


class Declared(NamedTuple):
    """What is said of an array: its shape and its dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class NpyHeader(NamedTuple):
    """What an .npy file says of its array. offset: where the numbers begin."""

    declared: Declared
    fortran: bool
    offset: int


def read_header(data: bytes, where: object, error: type[MiniparError]) -> NpyHeader:
    """The header at the beginning of an .npy file; HEADER + 16 bytes are enough. Raises `error` for anything
    else.

    No Python object can be in such an array, and no element has zero bytes: a few bytes would declare any
    number of them.
    """
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version not in READERS:
            raise ValueError(f"version {version}")
        shape, fortran, dtype = READERS[version](stream, max_header_size=HEADER)
        if dtype.hasobject or not dtype.itemsize or len(shape) > 32 or any(length < 0 for length in shape):
            raise ValueError(f"shape {shape} of {dtype}")
    except Exception as cause:  # what NumPy stumbles over: SyntaxError, MemoryError, ...
        raise error(f"{where} is damaged, or no array of numbers") from cause
    return NpyHeader(Declared(tuple(map(int, shape)), dtype), fortran, stream.tell())


READERS: dict[tuple[int, int], Any] = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_array(data: bytearray, where: object, error: type[MiniparError]) -> np.ndarray:
    """The array of a whole .npy file, which it shares memory with. Raises `error` where the file is longer or
    shorter.
    """
    header = read_header(bytes(data[:HEADER + 16]), where, error)
    shape, dtype = header.declared
    if len(data) != header.offset + header.declared.nbytes:
        raise error(f"{where} is damaged: {len(data) - header.offset:,} bytes for shape {shape} of {dtype}")
    flat = np.frombuffer(data, dtype, offset=header.offset)
    return flat.reshape(shape[::-1]).T if header.fortran else flat.reshape(shape)
