"""A file from outside is opened without waiting, must be a regular file, and may not be larger than its
reader allows.

A path may lead to a pipe that nobody writes to (opening it would wait for ever), to a device that never ends
(/dev/zero), or to a file of a terabyte that takes no room on the disk (a sparse one).
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
    """The file, open for reading, of at most `most` bytes.

    Raises `error` for what is no regular file, or a larger one; OSError, as `open` does, where the system
    refuses.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:                                              # a NUL in the name
        raise error("a path holds a NUL; give a path") from None
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise error(f"{os.fspath(path)} is a folder, not a file; give a file")
        if not stat.S_ISREG(about.st_mode):
            raise error(f"{os.fspath(path)} is no regular file, but a pipe, a socket or a device; give a "
                        "regular file")
        if about.st_size > most:
            raise error(f"{os.fspath(path)} has {about.st_size:,} bytes, more than the {most:,} that are "
                        "read; give a smaller file")
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read_bytes(path: str | os.PathLike[str], most: int, error: type[MiniparError]) -> bytes:
    """All bytes of the file. Raises as `opened` does, also where the file grows beyond `most` while it is
    read.

    A file whose size is given as 0 is not read: some of the system's own (/proc) never end, or wait.
    """
    with opened(path, most, error) as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        data = file.read(most + 1)
    if len(data) > most:
        raise error(f"{Path(path)} has more than {most:,} bytes; give a smaller file")
    return data
