"""The shared memory of the MPI library, which a job that is killed or aborted leaves behind, megabytes each
time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

MPI_MEMORY = ("/dev/shm/mpich_shm_", "/dev/shm/sm_segment.")        # what MPICH and Open MPI call it


def memory_of_mpi(pids: Iterable[int]) -> set[str]:
    """The files in /dev/shm that the MPI library made for these processes, from their memory maps
    (proc(5)).
    """
    found: set[str] = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                found.update(path for line in maps if (path := line.split()[-1]).startswith(MPI_MEMORY))
        except OSError:                                             # it has ended already
            continue
    return found


def free_memory(paths: Iterable[str]) -> None:
    """Remove these files, once all processes that used them have ended."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
