"""The system's limits on threads: small stacks for many ranks, and the error that names the limits."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minipar.errors import CommError

MANY = 64  # more ranks than this get small stacks
STACK = 1 << 20  # bytes; by default a stack takes 8 MiB of the address space, so 1,024 stacks take 8 GiB
# files with the largest number of threads: of the container, then of the system
FILES = {"pids.max of the container": "/sys/fs/cgroup/pids.max",
         "kernel.threads-max": "/proc/sys/kernel/threads-max"}
MIB = 1 << 20


@contextmanager
def small_stacks(ranks: int) -> Iterator[None]:
    """Threads that start within this context get stacks of STACK bytes, if there are many ranks."""
    if ranks <= MANY:
        yield
        return
    before = threading.stack_size(STACK)
    try:
        yield
    finally:
        threading.stack_size(before)


def too_many(started: int, wanted: int, error: BaseException) -> CommError:
    """The error of a system that does not start more threads."""
    limits = "; ".join(f"{name} is {value}" for name, value in limits_of_threads().items())
    return CommError(f"only {started} of {wanted} ranks start as threads here ({error}{'; ' * bool(limits)}"
                     f"{limits}); choose fewer ranks, or raise the limit")


def limits_of_threads() -> dict[str, str]:
    """Name -> value of each limit that this system has on threads and memory."""
    found = {}
    for name, kind, unit in (("ulimit -u", resource.RLIMIT_NPROC, 1), ("ulimit -v", resource.RLIMIT_AS, MIB)):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            found[name] = f"{soft:,}" if unit == 1 else f"{soft // unit:,} MiB"
    for name, path in FILES.items():
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):           # another system, or another kind of container
            continue
        if text.isdigit():
            found[name] = f"{int(text):,}"
    return found
