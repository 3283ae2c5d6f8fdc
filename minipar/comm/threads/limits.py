"""Handles the system's limits on threads. With many ranks, threads get small stacks and Python collects
garbage less often. If threads cannot start, the error names the limits.
"""

from __future__ import annotations

import gc
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.errors import CommError

MOST = 1 << 14  # largest number of ranks as threads
MANY = 64  # if there are more ranks than this, they get small stacks
RARER = 8  # with many ranks, a rank makes RARER times as many new objects between two searches
# bytes of a small stack; a default stack takes 8 MiB of address space, so 1,024 stacks take 8 GiB
STACK = 1 << 20
# name of a limit, and the file that contains its value
FILES = {"pids.max of the container": "/sys/fs/cgroup/pids.max",
         "kernel.threads-max": "/proc/sys/kernel/threads-max"}
MIB = 1 << 20


@contextmanager
def small_stacks(ranks: int) -> Iterator[None]:
    """A context in which new threads get stacks of STACK bytes, if there are many ranks."""
    if ranks <= MANY:
        yield
        return
    before = threading.stack_size(STACK)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def fewer_collections(ranks: int) -> Iterator[None]:
    """A context in which Python searches for garbage less often, if there are many ranks.

    Each search visits the objects of all ranks. Python searches after a fixed number of new objects, so the
    time per rank would grow with the number of ranks. This context makes that number proportional to the
    ranks, and RARER times as large. The objects of many ranks do not fit into a cache, so a visit takes
    longer. Most objects are freed without a search.
    """
    if ranks <= MANY:
        yield
        return
    before = gc.get_threshold()
    gc.set_threshold(RARER * before[0] * ranks // MANY, before[1], RARER * before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def too_many(started: int, wanted: int, error: BaseException) -> CommError:
    """Returns the error for a system that does not start all threads."""
    limits = "; ".join(f"{name} is {value}" for name, value in limits_of_threads().items())
    return CommError(f"only {started} of {wanted} ranks start as threads here ({error}{'; ' * bool(limits)}"
                     f"{limits}); choose fewer ranks, or raise the limit")


def limits_of_threads() -> dict[str, str]:
    """Returns the name and the value of each limit that this system has on threads and memory."""
    found = {}
    for name, kind, unit in (("ulimit -u", resource.RLIMIT_NPROC, 1), ("ulimit -v", resource.RLIMIT_AS, MIB)):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            found[name] = f"{soft:,}" if unit == 1 else f"{soft // unit:,} MiB"
    for name, path in FILES.items():
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):           # this system or container does not have the file
            continue
        if text.isdigit():
            found[name] = f"{int(text):,}"
    return found
