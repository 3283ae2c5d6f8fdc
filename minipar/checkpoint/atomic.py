"""Writes files atomically: at every moment, a file has its old content or its complete new content.

During a write, the process can be killed and the disk can become full. So the new content is written in four
steps: (1) write it to a file with a temporary name; (2) fsync, so that the content is on the disk; (3) rename
the file (the file system does this atomically); (4) fsync the folder, so that the rename survives a power
failure.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minipar.errors import CheckpointError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file for writing that replaces `path` at the end of the block. After an error, `path` is
    unchanged.

    Raises CheckpointError if the operating system refuses, for example without space, permission or folder.
    Raises it also if `path` is a folder, a pipe or a device.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")  # same folder, so the same disk
    with refusals_named(path):
        # a rename would replace a device, such as /dev/null; for a folder, the rename fails
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError(errno.EINVAL, "it is not a regular file")
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):  # after the rename, the temporary file does not exist
                temporary.unlink()


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Convert an OSError in the block into a CheckpointError that names `path`."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}; earlier files are "
                              "unchanged; free disk space or choose another folder",
                              item=str(path), errno=error.errno) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes.

    Only the one process that writes into this folder may call this function.
    """
    for leftover in folder.glob(f"*.{'[0-9a-f]' * 8}.tmp"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in this folder are on the disk."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders
        return
    handle = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks cannot sync folders
            raise
    finally:
        os.close(handle)
