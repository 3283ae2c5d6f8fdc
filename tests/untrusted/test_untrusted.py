"""The readers of files from outside: what is no plain file, JSON without limits, archives that unpack to more
than they are.
"""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minipar.errors import DataError
from minipar.untrusted.arrays import read_array, read_header
from minipar.untrusted.files import opened, read_bytes
from minipar.untrusted.members import Members
from minipar.untrusted.plain import DIGITS, parse_json

TERABYTE = 1 << 40


def no_plain_files(folder: Path) -> list[Path]:
    """One of each kind of path that must not be read to its end, or at all."""
    pipe, own, zero, link, sparse, inside, loop = paths = [
        folder / name for name in ("pipe", "socket", "zero", "link", "sparse", "folder", "loop")]
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(own))
    zero.symlink_to("/dev/zero")
    link.symlink_to("pipe")
    sparse.touch()
    os.truncate(sparse, TERABYTE)
    inside.mkdir()
    loop.symlink_to("loop")
    return paths


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)                                      # the name of a socket must be short
    before = len(os.listdir("/proc/self/fd"))
    for path in no_plain_files(Path(".")):
        with pytest.raises((DataError, OSError)):
            read_bytes(path, 1000, DataError)
    assert len(os.listdir("/proc/self/fd")) == before


def test_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    assert read_bytes(path, 1000, DataError) == b"x" * 1000
    with pytest.raises(DataError, match="1,000 bytes, more than the limit of 999"):
        read_bytes(path, 999, DataError)
    with opened(path, 1000, DataError) as file:
        assert file.read(3) == b"xxx"
    assert read_bytes("/proc/self/status", 10, DataError) == b""     # has no size
    with pytest.raises(DataError, match="NUL"):
        read_bytes("a\0b", 1, DataError)


@pytest.mark.parametrize("data, said", [
    (b"[" * 200_000, "nested brackets"), (b'{"a":' * 200_000, "nested brackets"),
    (b"[" * 40 + b"]" * 40, "nested brackets"),
    (b"9" * 10_000, "10,000 digits"), (b"-0." + b"1" * 10_000, "digits"),
    (b"[1,2,3,4,5,6,7,8,9,10,11]", "more than 10 values"),
    (b"\xff", "not UTF-8: byte 0"), (b"", "line 1, column 1: not JSON"), (b"{", "not JSON"),
    (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' occurs twice"), (b'{"a": 1} x', "not JSON"),
    (b"\0" * 9, "not JSON"), (b'["\\', "not JSON"),
], ids=lambda value: value[:12] if isinstance(value, str) else None)
def test_json_has_limits(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        parse_json(data, "a.json", DataError, values=10 if data.count(b",") == 10 else 10**6)
    assert str(caught.value).startswith("a.json") and "\n" not in str(caught.value)


def test_json_within_the_limits() -> None:
    values = {"a": [[1, -2.5e300, None, True], "[[{{\\\"" * 100], "b": 10**(DIGITS - 1), "c": [[]] * 1000}
    assert parse_json(b"\xef\xbb\xbf" + json.dumps(values).encode(), "a", DataError) == values


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3),
                                   np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(3, "f4"),
                                   np.zeros((0, 4)), np.array(["ab", "c"])],
                         ids=["C", "F", "scalar", "empty", "text"])
def test_arrays_come_back(array: np.ndarray) -> None:
    back = read_array(bytearray(npy(array)), "a", DataError)
    assert back.dtype == array.dtype and back.shape == array.shape and back.flags.writeable
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("spoil", [
    lambda data: data[:-1], lambda data: data + b"x", lambda data: data[:20], lambda data: b"",
    lambda data: b"\0" + data,
    lambda data: data.replace(b"(2, 3)", b"(9**9)"), lambda data: data.replace(b"(2, 3)", b"(2,-3)"),
    lambda data: data.replace(b"<f8", b"|O8"), lambda data: data.replace(b"<f8", b"|S0"),
    lambda data: data.replace(b"\x93NUMPY\1", b"\x93NUMPY\3"), lambda data: data[:10] + b"(" * 118,
])
def test_what_is_no_array(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(DataError, match="a"):
        read_array(bytearray(spoil(npy(np.zeros((2, 3))))), "a", DataError)


def test_a_header_of_64_kilobytes_is_none() -> None:
    with pytest.raises(DataError):
        read_header(b"\x93NUMPY\1\0\xff\xff" + b"{" * 65535, "a", DataError)


def archive(path: Path, members: dict[str, bytes], way: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", way) as new:
        for name, data in members.items():
            new.writestr(name, data)
    return path


def overlapping(path: Path) -> Path:
    """Ten members that all lead to the same bytes: 30 kB that unpack to 300 kB."""
    archive(path, {f"{n}.npy": bytes(30_000 if n == 0 else 0) for n in range(10)})
    data = path.read_bytes()
    place = data.index(b"PK\1\2")
    head = data[:place]
    while data[place:place + 4] == b"PK\1\2":
        entry = bytearray(data[place:place + 46])
        struct.pack_into("<III", entry, 16, 0, 30_000, 30_000)
        struct.pack_into("<I", entry, 42, 0)
        length = 46 + sum(struct.unpack_from("<HHH", entry, 28))
        head, place = head + bytes(entry) + data[place + 46:place + length], place + length
    path.write_bytes(head + data[place:])
    return path


@pytest.mark.parametrize("make, compressed, said", [
    (lambda path: archive(path, {"a.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED), True,
     "unpacks to 100,000,000"),
    (lambda path: archive(path, {"a.npy": bytes(10**4)}, zipfile.ZIP_DEFLATED), False,
     "unsupported compression"),
    (lambda path: archive(path, {"a.npy": bytes(10**4)}, zipfile.ZIP_LZMA), True, "unsupported compression"),
    (lambda path: archive(path, {"a.npy": bytes(10**4)}, zipfile.ZIP_BZIP2), True, "unsupported compression"),
    (overlapping, False, "unpacks to 300,000"),
    (lambda path: archive(path, {f"{n:0200}": b"" for n in range(35_000)}), False, "lists too many members"),
], ids=["deflated", "stored only", "lzma", "bzip2", "overlapping", "names"])
def test_archives_that_unpack_to_too_much(tmp_path: Path, make: Callable[[Path], Path], compressed: bool,
                                          said: str) -> None:
    path = make(tmp_path / "a.npz")
    with open(path, "rb") as file, pytest.raises(DataError, match=said):
        Members(file, path, DataError, compressed=compressed)
