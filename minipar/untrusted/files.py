"""Opens files from unknown sources. It opens only regular files, up to a size that the caller chooses. The
opening never waits.

These limits are needed because a path may name any file. It may name a pipe without a writer, and the opening
of such a pipe would wait for ever. It may name an endless device (/dev/zero). It may name a sparse file,
which has a size of a terabyte but takes almost no space on the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from minipar.errors import MiniparError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@contextmanager
def opened(path: str | os.PathLike[str], most: int, error: type[MiniparError]) -> Iterator[BinaryIO]:
    """A context that gives the file, open for reading.

    Raises `error` if the file is not a regular file or has more than `most` bytes. Raises OSError if the
    operating system cannot open the file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:                                              # the name contains a NUL
        raise error("a path holds a NUL; give a path") from None
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise error(f"{os.fspath(path)} is a folder, not a file; give a file", item=os.fspath(path),
                        kind="folder")
        if not stat.S_ISREG(about.st_mode):
            raise error(f"{os.fspath(path)} is not a regular file, but a pipe, a socket or a device; give "
                        "a regular file", item=os.fspath(path), kind="not a file")
        if about.st_size > most:
            raise error(f"{os.fspath(path)} has {about.st_size:,} bytes, more than the limit of {most:,}; "
                        "give a smaller file", item=os.fspath(path), kind="too large")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read_bytes(path: str | os.PathLike[str], most: int, error: type[MiniparError]) -> bytes:
    """Returns all bytes of the file. Raises the errors of `opened`. Raises `error` also if the file grows
    beyond `most` bytes during the read.

    A file of size 0 is not read. Some system files (/proc) have size 0, but a read of them would never end.
    """
    with opened(path, most, error) as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        data = file.read(most + 1)
    if len(data) > most:
        raise error(f"{Path(path)} has more than {most:,} bytes; give a smaller file", item=os.fspath(path),
                    kind="too large")
    return data
