"""One writer at a time: two trainings in one folder would mix their metrics and remove each other's files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.errors import CheckpointError


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from claiming the folder meanwhile. Raises CheckpointError where another one has.

    The claim is a lock of the system on the folder itself. It ends with the process, however that ends, and
    leaves no file. Where a file system knows no locks, as some network disks, nothing is claimed.
    """
    with refusals_named(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"another minipar is writing to {folder}; wait for its end, or choose "
                                  "another folder") from error
        except OSError:                                             # no locks there
            pass
        yield
    finally:
        os.close(handle)
