"""Checks that shared memory has room for a block before the block is allocated. All ranks make this check
together.

Under MPI the block is a file in /dev/shm. The system allocates its pages only when a rank writes to them. If
/dev/shm is full then, the system ends the process with the signal SIGBUS, without a message. Containers often
limit /dev/shm to 64 MB.
"""

from __future__ import annotations

import os

import numpy as np

from minipar.comm.diagnostics.call_site import wrong_call
from minipar.comm.protocol import Communicator, exchange
from minipar.errors import CommError

SHARED_MEMORY = "/dev/shm"
MOST = (1 << 63) - 1


def require_room(comm: Communicator, nbytes: int, *, label: str | None) -> None:
    """Raises the same CommError on every rank if /dev/shm has fewer than `nbytes` free bytes. All ranks call
    this function.
    """
    tag = comm.entering("shared", None, None, label=label)
    mine = np.array([min(nbytes, MOST), free_bytes()])
    wanted, free = exchange(comm, mine, label=label, tag=tag).T.tolist()
    if max(wanted) > min(free):
        raise no_room(comm, max(wanted[comm.rank], nbytes),
                      f"{SHARED_MEMORY} has {min(free):,} free; make it larger "
                      "(docker run --shm-size=2g), or the array smaller", label)


def free_bytes() -> int:
    """Returns the number of free bytes in the node's shared memory. On a system without /dev/shm (macOS),
    returns MOST, which stands for no limit.
    """
    try:
        found = os.statvfs(SHARED_MEMORY)
    except (AttributeError, OSError):
        return MOST
    return found.f_bavail * found.f_frsize


def zeros(comm: Communicator, nbytes: int, label: str | None) -> np.ndarray:
    """Returns a block of zeros in the memory of this process. Raises CommError if there is not enough memory.
    """
    try:
        return np.zeros(nbytes, np.uint8)
    except (MemoryError, ValueError, OverflowError) as error:
        raise no_room(comm, nbytes, "this process cannot get so much memory; make the array smaller",
                      label) from error


def no_room(comm: Communicator, nbytes: int, reason: str, label: str | None) -> CommError:
    return wrong_call(comm, label, "shared", f"needs {nbytes:,} bytes for all ranks, but {reason}")
