"""Finds and removes the MPI library's shared memory files. A killed or aborted job does not remove these
files, which take some megabytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

MPI_MEMORY = ("/dev/shm/mpich_shm_", "/dev/shm/sm_segment.")  # prefixes of the files of MPICH and Open MPI


def memory_of_mpi(pids: Iterable[int]) -> set[str]:
    """Returns the files in /dev/shm that the MPI library made for these processes. It reads the memory maps
    of the processes (proc(5)).
    """
    found: set[str] = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                found.update(path for line in maps if (path := line.split()[-1]).startswith(MPI_MEMORY))
        except OSError:                                             # the process has ended
            continue
    return found


def free_memory(paths: Iterable[str]) -> None:
    """Remove these files. Call it after all processes that used them have ended."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
