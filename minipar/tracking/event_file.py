"""Writes event files, the format that TensorBoard reads. An event file is a sequence of records. Each record
contains one Event.

A record is a TFRecord: its length, a checksum of the length, the data, and a checksum of the data. The data
is an Event in the encoding of Protocol Buffers: a sequence of fields, each with a key and a value. The key is
8 * (number of the field) + (wire type). This file uses these fields:

    Event           1 wall_time (double), 2 step (varint), 3 file_version (bytes), 5 summary (Summary)
    Summary         1 value (Value, once per curve)
    Value           1 tag (bytes), 2 simple_value (float), 5 histo (HistogramProto)
    HistogramProto  1 min, 2 max, 3 num, 4 sum, 5 sum_squares (double), 6 bucket_limit, 7 bucket (doubles)

Sources: tensorflow/core/util/event.proto, core/framework/summary.proto, core/lib/io/record_writer.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import numpy as np

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types
BUCKETS = 30
MASK, WORD = 0xA282EAD8, 0xFFFFFFFF


def _table() -> list[int]:
    """Returns the CRC32C of each byte. 0x82F63B78 is Castagnoli's polynomial, with its bits reversed."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Returns the checksum CRC32C of the data.

    >>> hex(crc32c(b"123456789"))                   # the check value of the CRC catalogues
    '0xe3069283'
    """
    remainder = WORD
    for byte in data:
        remainder = TABLE[(remainder ^ byte) & 0xFF] ^ remainder >> 8
    return remainder ^ WORD


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum as TFRecord stores it: the CRC32C rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK) & WORD


def varint(number: int) -> bytes:
    """Encodes a whole number from 0 on with 7 bits per byte, the lowest bits first. All bytes except the last
    have the top bit set.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, kind: int, value: bytes) -> bytes:
    """Encodes a field: its key, the length of the value for the type BYTES, and the value."""
    return varint(8 * number + kind) + (varint(len(value)) if kind == BYTES else b"") + value


def _histogram(values: np.ndarray) -> bytes:
    """Encodes a HistogramProto with BUCKETS buckets of equal width. A bucket_limit is the right end of a
    bucket.
    """
    values = np.asarray(values, np.float64).ravel()
    counts, edges = np.histogram(values, BUCKETS)
    moments = (values.min(), values.max(), values.size, values.sum(), values @ values)
    packed = (array.astype("<f8").tobytes() for array in (edges[1:], counts))
    fields = [_field(number, DOUBLE, struct.pack("<d", each)) for number, each in enumerate(moments, 1)]
    return b"".join(fields + [_field(number, BYTES, each) for number, each in enumerate(packed, 6)])


class EventFile:
    """Writes events to an open file. The first event is the version of the format.

    wall_time: seconds since 1970.
    """

    def __init__(self, file: BinaryIO, wall_time: float):
        self._file = file
        self._event(wall_time, 0, _field(3, BYTES, b"brain.Event:2"))

    def scalars(self, wall_time: float, step: int, values: Mapping[str, float]) -> None:
        """Write the values of one step. values: tag -> number. The format stores the numbers in float32,
        where 1e39 is infinite.
        """
        with np.errstate(over="ignore"):
            rounded = {tag: np.float32(value).astype("<f4").tobytes() for tag, value in values.items()}
        summary = [_field(1, BYTES, tag.encode()) + _field(2, FLOAT, rounded[tag])
                   for tag, value in values.items()]
        self._summary(wall_time, step, summary)

    def histograms(self, wall_time: float, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Write a histogram of each array. values: tag -> array with at least one element, all finite."""
        self._summary(wall_time, step, [_field(1, BYTES, tag.encode()) + _field(5, BYTES, _histogram(array))
                                        for tag, array in values.items()])

    def _summary(self, wall_time: float, step: int, values: Sequence[bytes]) -> None:
        if values:
            self._event(wall_time, step,
                        _field(5, BYTES, b"".join(_field(1, BYTES, value) for value in values)))

    def _event(self, wall_time: float, step: int, rest: bytes) -> None:
        data = _field(1, DOUBLE, struct.pack("<d", wall_time)) + _field(2, VARINT, varint(step)) + rest
        length = struct.pack("<Q", len(data))
        self._file.write(length + struct.pack("<I", masked_crc32c(length))
                         + data + struct.pack("<I", masked_crc32c(data)))
