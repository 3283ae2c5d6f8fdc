"""A small reader of event files, written independently of the writer: it checks every checksum bit by bit."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

POLYNOMIAL = 0x1EDC6F41                                             # Castagnoli's, the highest power first


class ReadEvent(NamedTuple):
    """An event. values: tag -> a number, or the fields of a histogram by their numbers."""

    wall_time: float
    step: int
    version: str
    values: dict[str, Any]


def reflected(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)


def slow_crc32c(data: bytes) -> int:
    """CRC32C by its definition, with the bits of each byte and of the result reversed."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= reflected(byte, 8) << 24
        for _ in range(8):
            remainder = (remainder << 1 ^ (POLYNOMIAL if remainder >> 31 else 0)) & 0xFFFFFFFF
    return reflected(remainder ^ 0xFFFFFFFF, 32)


def require_checksum(stored: bytes, data: bytes) -> None:
    rotated = (struct.unpack("<I", stored)[0] - 0xA282EAD8) % 2**32
    assert (rotated << 15 | rotated >> 17) % 2**32 == slow_crc32c(data), "a wrong checksum"


def records(data: bytes) -> Iterator[bytes]:
    """The data of each TFRecord."""
    while data:
        require_checksum(data[8:12], data[:8])
        end = 12 + struct.unpack("<Q", data[:8])[0]
        assert len(data) >= end + 4, "the last record is incomplete"
        require_checksum(data[end:end + 4], data[12:end])
        yield data[12:end]
        data = data[end + 4:]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a Protocol Buffers message: (number, value)."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key % 8 == 0:
            yield key // 8, number()
            continue
        size = {1: 8, 5: 4}.get(key % 8) or number()
        value, at = data[at:at + size], at + size
        assert len(value) == size, "a field is incomplete"
        yield key // 8, struct.unpack("<d" if size == 8 else "<f", value)[0] if key % 8 != 2 else value


def read_value(data: bytes) -> tuple[str, Any]:
    found = dict(fields(data))
    if 2 in found:
        return found[1].decode(), found[2]
    histogram = dict(fields(found[5]))
    return found[1].decode(), {number: list(struct.unpack(f"<{len(value) // 8}d", value))
                               if isinstance(value, bytes) else value for number, value in histogram.items()}


def read_events(data: bytes) -> list[ReadEvent]:
    events = []
    for record in records(data):
        found = dict(fields(record))
        values = [read_value(value) for number, value in fields(found.get(5, b"")) if number == 1]
        events.append(ReadEvent(found[1], found[2], found.get(3, b"").decode(), dict(values)))
    return events
