"""The members of a zip archive (.npz) from outside, whose sizes are compared with what its reader expects
before they are read.

A small archive can unpack to a large one: members that compress well, members that share their bytes, or
millions of names. So the list of members is bounded before it is read, their sizes are added up, and only the
two plain ways of storing are allowed.
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

LIST = 8 * MIB  # bytes of the list of members: 50,000 of them, about
MOST_TIMES = 20  # as large as its file, what an archive of weights unpacks to
ROOM = 64 * MIB  # whatever its size, an archive may unpack to so many bytes
_END, _END64, _OFFSET64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"            # the records at the end of an archive


class Members:
    """The members of an archive by name. Raises `error` for what is no archive, or one that unpacks to too
    much.

    compressed: whether members may be; if not, all of them together are no larger than the file.
    """

    def __init__(self, file: BinaryIO, where: object, error: type[MiniparError], *, compressed: bool) -> None:
        self.where, self.error = where, error
        size = os.fstat(file.fileno()).st_size
        if _length_of_list(file, size) > LIST:
            raise error(f"{where} lists too many members; give another file")
        self._zip = zipfile.ZipFile(file)
        self.comment = self._zip.comment.decode("ascii", "replace")
        self.infos = {info.filename: info for info in self._zip.infolist()}
        ways = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} if compressed else {zipfile.ZIP_STORED}
        if strange := [info for info in self.infos.values() if info.compress_type not in ways]:
            raise error(f"{where} is packed in a way that is not read: {shown(strange[0].filename)}; write "
                        "it with numpy.savez")
        most = size * MOST_TIMES + ROOM if compressed else size
        if (total := sum(info.file_size for info in self.infos.values())) > most:
            raise error(f"{where} has {size:,} bytes, but unpacks to {total:,}; give another file")

    def __iter__(self) -> Iterator[str]:
        return iter(self.infos)

    def __contains__(self, name: str) -> bool:
        return name in self.infos

    def size(self, name: str) -> int:
        """Bytes of a member, unpacked."""
        return self.infos[name].file_size

    def header(self, name: str) -> NpyHeader:
        """The header of a member that is an .npy file. Raises `error`, or what zipfile raises on damaged
        bytes.
        """
        with self._zip.open(name) as member:
            return read_header(member.read(HEADER + 16), f"{self.where}: {shown(name)}", self.error)

    def read(self, name: str) -> bytearray:
        """All bytes of a member. Raises what zipfile raises on damaged bytes."""
        data = bytearray(self.size(name))
        with self._zip.open(name) as member:
            view, at = memoryview(data), 0
            while count := member.readinto(view[at:at + MIB]):      # type: ignore[attr-defined]
                at += count
        if at != len(data):
            raise EOFError(f"{name} ends after {at} bytes")
        return data


def _length_of_list(file: BinaryIO, size: int) -> int:
    """Bytes of the list of members, as the end of the archive gives them; 0 where there is no such end."""
    tail_length = min(size, (1 << 16) + 128)                        # the comment, and the records before it
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    file.seek(0)
    return max((_length_at(tail, end) for end in {len(tail) - 22, tail.rfind(_END)}), default=0)


def _length_at(tail: bytes, end: int) -> int:
    """The same, by the record that begins at `end`, or by its larger sibling before it; 0 where none begins
    there.
    """
    if end < 0 or tail[end:end + 4] != _END or end + 22 > len(tail):
        return 0
    lengths: list[int] = [struct.unpack_from("<I", tail, end + 12)[0]]
    record = tail.rfind(_END64, 0, max(tail.rfind(_OFFSET64, 0, end), 0))
    if record >= 0 and record + 48 <= len(tail):
        lengths.append(struct.unpack_from("<Q", tail, record + 40)[0])
    return max((length for length in lengths if length < 0xFFFFFFFF), default=lengths[0])
