"""A file that appears whole or not at all.

A process can be killed and a disk can fill at any byte of a write. So the new file grows under a temporary
name; once the disk has it (fsync), a rename puts it in its place, which the file system does in one step; and
the fsync of the folder makes the rename itself last through a power cut. Whatever happens, the name leads to
the old contents or to the new ones.
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
    """A file to write into. At the end of the block it takes the place of `path`; if anything fails, `path`
    is as before.

    Raises CheckpointError if the system refuses: no room, no permission, no such folder.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")  # beside it, on the same disk
    with refusals_named(path):
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):  # after the rename it is gone already
                temporary.unlink()


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Turn what the system refuses while we write to `path` into a CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}; what was saved before is "
                              "untouched; make room or choose another folder") from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed.

    Only for the one process that writes into this folder.
    """
    for leftover in folder.glob(f"*.{'[0-9a-f]' * 8}.tmp"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    handle = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network disks sync files only
            raise
    finally:
        os.close(handle)
