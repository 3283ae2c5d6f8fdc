"""A lock for a folder. Two trainings in one folder would mix their metrics and remove each other's files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.errors import CheckpointError


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock the folder during the block. Raises CheckpointError if another process has locked it.

    The operating system locks the folder itself (flock). The lock ends with the process, even if it is
    killed, and leaves no file. On a file system without locks, such as some network disks, this is a no-op.
    """
    with refusals_named(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another minipar is writing to {folder}; wait for its end, or choose "
                                  "another folder") from error
        except OSError:                                             # the file system has no locks
            pass
        yield
    finally:
        os.close(handle)
