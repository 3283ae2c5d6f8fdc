"""Locks a folder. Without the lock, two training runs in one folder would mix their metrics and remove each
other's files.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.checkpoint.atomic import refusals_named
from minipar.errors import CheckpointError

# PAUSE: seconds between two tries. More than one try is needed: `is_claimed` locks a folder for microseconds.
TRIES, PAUSE = 20, 0.01


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock the folder during the block. Raises CheckpointError if another process has locked it.

    The operating system locks the folder itself (flock). The lock ends with the process, even if it is
    killed, and leaves no file. On a file system without locks, such as some network disks, this is a no-op.
    """
    with refusals_named(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _locked(handle, fcntl.LOCK_EX, TRIES):
            raise CheckpointError(f"another minipar is writing to {folder}; wait for its end, or choose "
                                  "another folder")
        yield
    finally:
        os.close(handle)


def is_claimed(folder: Path) -> bool:
    """True if a process has locked the folder with `claimed`. False on a file system without locks."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        return not _locked(handle, fcntl.LOCK_SH, 1)
    finally:
        os.close(handle)


def _locked(handle: int, kind: int, tries: int) -> bool:
    """Lock an open folder until it is closed. Returns False if another process has locked it."""
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSE)
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            continue
        except OSError:                                             # the file system has no locks
            return True
    return False
