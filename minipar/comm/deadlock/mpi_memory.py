"""Finds and removes the MPI library's shared memory files. A killed or aborted job does not remove these
files, which take some megabytes.

`memory_of_mpi` finds the files of running processes. A rank may be killed between two looks, soon after it
has made a file. Afterwards `orphaned_memory` finds this file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from glob import glob

# prefixes of the files of MPICH, of its library UCX, and of Open MPI
MPI_MEMORY = ("/dev/shm/mpich_shm_", "/dev/shm/ucx_shm_posix_", "/dev/shm/sm_segment.")
COARSE = 0.02  # the times of files may be this many seconds older than the clock


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


def orphaned_memory(since: float) -> set[str]:
    """Returns the files in /dev/shm that MPI libraries of this user have made since this time (in seconds, as
    time.time() gives it), and that no process has open or mapped.
    """
    found: set[str] = set()
    for prefix in MPI_MEMORY:
        for path in glob(f"{prefix}*"):
            with suppress(OSError):                                 # its job has removed the file
                about = os.stat(path)
                if about.st_uid == os.getuid() and about.st_mtime >= since - COARSE:
                    found.add(path)
    if found:
        found -= memory_of_mpi(int(path.rpartition("/")[2]) for path in glob("/proc/[0-9]*"))
    for link in glob("/proc/[0-9]*/fd/*") if found else ():
        with suppress(OSError):
            found.discard(os.readlink(link))
    return found


def free_memory(paths: Iterable[str]) -> None:
    """Remove these files. Call it after all processes that used them have ended."""
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
