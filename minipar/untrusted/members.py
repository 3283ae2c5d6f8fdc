"""Reads the members (files) of a zip archive (.npz) from an unknown source. It checks their sizes first.

A small archive can unpack to a huge amount of data. Its members may compress well, several members may share
the same bytes, or there may be millions of members. So the list of members has a size limit, which is checked
before the list is read. The sum of the unpacked sizes also has a limit. Only two methods of storing are
allowed: stored (without compression) and deflated.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from minipar.errors import MiniparError, shown
from minipar.untrusted.arrays import HEADER, NpyHeader, read_header
from minipar.untrusted.files import MIB

LIST = 8 * MIB  # largest list of members in bytes, for about 50,000 members
# The limit of the unpacked size is MOST_TIMES * (size of the file) + ROOM.
MOST_TIMES, ROOM = 20, 64 * MIB
# the first bytes of the records at the end of an archive
_END, _END64, _OFFSET64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"


class Members:
    """The members of an archive, by name. Raises `error` if there are too many members, if two have the same
    name, or if they are too large.

    compressed: whether members may be compressed. If they may not, the sum of their sizes must be at most the
    size of the file.
    """

    def __init__(self, file: BinaryIO, where: object, error: type[MiniparError], *, compressed: bool) -> None:
        self.where, self.error = where, error
        size = os.fstat(file.fileno()).st_size
        if _length_of_list(file, size) > LIST:
            raise error(f"{where} lists too many members; give another file")
        self._zip = zipfile.ZipFile(file)
        self.comment = self._zip.comment.decode("ascii", "replace")
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            if self.infos.setdefault(info.filename, info) is not info:
                raise error(f"{where} has two members {shown(info.filename)}; remove one of them",
                            item=info.filename)
        ways = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} if compressed else {zipfile.ZIP_STORED}
        if strange := [info for info in self.infos.values() if info.compress_type not in ways]:
            raise error(f"{where} uses an unsupported compression: {shown(strange[0].filename)}; write it "
                        "with numpy.savez")
        most = size * MOST_TIMES + ROOM if compressed else size
        if (total := sum(info.file_size for info in self.infos.values())) > most:
            raise error(f"{where} has {size:,} bytes, but unpacks to {total:,}; give another file")

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __contains__(self, name: str) -> bool:
        return name in self.infos

    def size(self, name: str) -> int:
        """Returns the unpacked size of a member in bytes."""
        return self.infos[name].file_size

    def header(self, name: str) -> NpyHeader:
        """Returns the header of a member that is an .npy file. Raises `error` for an invalid header, and
        zipfile's errors for damaged bytes.
        """
        with self._zip.open(name) as member:
            return read_header(member.read(HEADER + 16), f"{self.where}: {shown(name)}", self.error)

    def read(self, name: str) -> bytearray:
        """Returns all bytes of a member. Raises zipfile's errors for damaged bytes."""
        data = bytearray(self.size(name))
        with self._zip.open(name) as member:
            view, at = memoryview(data), 0
            while count := member.readinto(view[at:at + MIB]):      # type: ignore[attr-defined]
                at += count
        if at != len(data):
            raise EOFError(f"{name} ends after {at} bytes")
        return data


def _length_of_list(file: BinaryIO, size: int) -> int:
    """Returns the size in bytes of the list of members, which is in the record at the end of the archive.
    Returns 0 if there is no such record.
    """
    tail_length = min(size, (1 << 16) + 128)  # enough for the longest comment and the records before it
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    file.seek(0)
    return max((_length_at(tail, end) for end in {len(tail) - 22, tail.rfind(_END)}), default=0)


def _length_at(tail: bytes, end: int) -> int:
    """Returns the size in bytes of the list of members. It is in the end record at position `end` of `tail`,
    or in the ZIP64 end record before that one. Returns 0 if no record begins at `end`.
    """
    if end < 0 or tail[end:end + 4] != _END or end + 22 > len(tail):
        return 0
    lengths: list[int] = [struct.unpack_from("<I", tail, end + 12)[0]]
    record = tail.rfind(_END64, 0, max(tail.rfind(_OFFSET64, 0, end), 0))
    if record >= 0 and record + 48 <= len(tail):
        lengths.append(struct.unpack_from("<Q", tail, record + 40)[0])
    return max((length for length in lengths if length < 0xFFFFFFFF), default=lengths[0])
