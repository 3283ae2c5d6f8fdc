"""The element types of messages with an envelope: their codes and their names in errors.

A type's code is its index in TYPES. The code is sent with each message, so append new types to the end of the
list. All one-byte types (characters, MPI.BYTE, signed and unsigned integers) have the same code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class MessageType(NamedTuple):
    """The type of a message's elements. name: its name in errors. itemsize: bytes of one element."""

    name: str
    itemsize: int


NUMBERS = ("f4", "f8", "i8", "i4", "i2", "u2", "u4", "u8", "f2", "?", "c8", "c16", "g", "G")
TYPES = [MessageType("bytes", 1), MessageType("a pickled object", 1), MessageType("records", 1),
         *(MessageType(str(np.dtype(name)), np.dtype(name).itemsize) for name in NUMBERS)]
BYTES, OBJECT, RECORDS = range(3)
CODE_OF = {np.dtype(name): code for code, name in enumerate(NUMBERS, 3)}


def type_code_of(dtype: np.dtype) -> int:
    """Returns the code of a NumPy dtype: BYTES for one byte, RECORDS for a structure."""
    return CODE_OF.get(dtype) or (BYTES if dtype.itemsize == 1 else RECORDS)


def bytes_of(array: np.ndarray) -> np.ndarray:
    """Returns the bytes of a contiguous array, uint8 [nbytes], as a view."""
    return array.reshape(-1).view(np.uint8)


def amount(type_code: int, nbytes: int) -> str:
    """Returns the size of a message as text: "8 elements of float32", "24 bytes", "a pickled object of 24
    bytes".
    """
    kind = TYPES[type_code]
    if type_code == BYTES:
        return f"{nbytes} bytes"
    if type_code in (OBJECT, RECORDS):
        return f"{kind.name} of {nbytes} bytes"
    elements = nbytes // kind.itemsize
    return f"{elements} element{'s' * (elements != 1)} of {kind.name}"
