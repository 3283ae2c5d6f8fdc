"""Packs values into frames, for the pipe between the grader and the student's process. A frame is

    length of the JSON (8 bytes), length of the arrays (8 bytes), the JSON, the arrays one after the other

Arrays are raw bytes. Pickle is not used: reading a pickle can run code, and the student's process is not
trusted.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

import numpy as np

HEAD = struct.Struct("<QQ")
LONGEST_JSON, MOST_BYTES = 1 << 23, 1 << 26  # bytes; a source of 1 MiB can need 6 MiB of JSON
MOST_VALUES = 100_000                                               # values of a frame
DEEPEST, LARGEST = 40, 1 << 1000                                    # limits of nesting and of integers
KINDS = "biufc"  # kinds of dtypes: bool, int, unsigned int, float, complex


class WireError(Exception):
    """The received bytes are not a valid frame."""


@dataclass(frozen=True)
class Opaque:
    """Stands for a value that cannot be sent. type: the name of the value's type."""

    type: str


def pack(value: Any) -> bytes:
    """Pack a value into a frame. A value that cannot be sent arrives as an `Opaque`."""
    arrays: list[np.ndarray] = []
    text = json.dumps(_plain(value, arrays)).encode()
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return HEAD.pack(len(text), len(data)) + text + data


def unpack(text: bytes, data: bytes) -> Any:
    """Unpack the value of a frame. Raises WireError for bytes that `pack` cannot produce."""
    try:
        value, used = _value(json.loads(text), data, 0, count(MOST_VALUES, -1))
        if used != len(data):
            raise WireError("bytes are left over")
        return value
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError, ArithmeticError, MemoryError,
            StopIteration) as error:
        raise WireError(f"not a valid frame: {error}") from error


def plain_copy(value: Any) -> Any:
    """Return the value as the receiver of a frame sees it. Raises WireError if the frame is too long. Objects
    of a submission can raise any error here.

    >>> plain_copy([1, {"a": object()}])
    [1, {'a': Opaque(type='object')}]
    """
    return read(io.BytesIO(pack(value)))


def read(file: BinaryIO) -> Any:
    """Read the next value of a stream. Raises EOFError at its end, and WireError for an invalid frame."""
    sizes = HEAD.unpack(_exactly(file, HEAD.size))
    check_sizes(*sizes)
    return unpack(_exactly(file, sizes[0]), _exactly(file, sizes[1]))


def check_sizes(text: int, data: int) -> None:
    if text > LONGEST_JSON or data > MOST_BYTES:
        raise WireError(f"a frame with {text} bytes of JSON and {data} bytes of arrays is too long")


def _exactly(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    if len(found) != count:
        raise EOFError
    return found


def _plain(value: Any, arrays: list[np.ndarray], depth: int = 0) -> Any:
    """Return the value as JSON data. Arrays are appended to `arrays` and described by dtype and shape."""
    if value is None or isinstance(value, bool | float | str):
        return {"v": value}
    if isinstance(value, int) and abs(value) < LARGEST:
        return {"v": value}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in KINDS:
        arrays.append(np.asarray(value))
        return {"a": [value.dtype.str, list(value.shape), isinstance(value, np.generic)]}
    if isinstance(value, tuple | list) and depth < DEEPEST:
        kind = "t" if isinstance(value, tuple) else "l"
        return {kind: [_plain(one, arrays, depth + 1) for one in value]}
    if isinstance(value, dict) and depth < DEEPEST and all(isinstance(key, str) for key in value):
        return {"d": [[key, _plain(one, arrays, depth + 1)] for key, one in value.items()]}
    return {"o": value.type if isinstance(value, Opaque) else type(value).__name__}


def _value(plain: dict[str, Any], data: bytes, at: int, left: Iterator[int],
           depth: int = 0) -> tuple[Any, int]:
    """Return a value, and the offset in `data` at which the next array begins. at: the offset of this value's
    first array. left: counts the values that the frame may still have.
    """
    ((kind, inside),) = plain.items()
    if next(left) <= 0 or depth > DEEPEST:
        raise WireError("too many values, or too deep")
    if kind == "v":
        if not (inside is None or isinstance(inside, float | str)
                or (isinstance(inside, int) and abs(inside) < LARGEST)):
            raise WireError("not a plain value")
        return inside, at
    if kind == "o":
        return Opaque(str(inside)[:80]), at
    if kind == "a":
        return _array(inside, data, at)
    found = []
    for one in inside:
        value, at = _value(one[1] if kind == "d" else one, data, at, left, depth + 1)
        found.append(value)
    if kind == "d":
        return dict(zip([str(key) for key, _ in inside], found, strict=True)), at
    return (tuple(found) if kind == "t" else found), at


def _array(inside: list[Any], data: bytes, at: int) -> tuple[Any, int]:
    dtype, shape = np.dtype(inside[0]), tuple(int(size) for size in inside[1])
    if dtype.kind not in KINDS or any(size < 0 for size in shape):
        raise WireError(f"not a valid array: {dtype} {shape}")
    elements = math.prod(shape)
    end = at + elements * dtype.itemsize
    if end > len(data):
        raise WireError("an array is cut off")
    array = np.frombuffer(data, dtype, elements, at).reshape(shape).copy()
    return (array[()] if inside[2] else array), end
