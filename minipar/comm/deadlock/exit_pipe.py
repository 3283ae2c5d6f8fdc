"""The lifeline is a pipe of this process that carries no data. It breaks when the process ends. This wakes
the watcher, the process that reports killed ranks.

When one rank ends, a launcher kills the other ranks. The watcher must report the rank that ended first. It
cannot use the order in which the system reports ended processes. An ending process first closes its files,
and the system reports its end some time later. As soon as the launcher sees the closed files, it kills the
other ranks. On a busy machine, the system may report these ranks first. So the watcher uses lifelines. When a
process ends, Linux first closes the file that the process opened last. The lifeline is opened after MPI's
connections, so it breaks before the launcher sees the end. Therefore the lifelines break in the order in
which the ranks began to end.
"""

from __future__ import annotations

import os
from contextlib import suppress


def hold_lifeline() -> int:
    """Make a pipe that is open until this process ends. Returns the file descriptor that others watch."""
    watched, held = os.pipe()

    def let_go() -> None:
        for end in (watched, held):
            with suppress(OSError):
                os.close(end)

    os.register_at_fork(after_in_child=let_go)  # a child process would keep the pipe open
    return watched


def watch_lifeline(pid: int, watched: int) -> int:
    """Returns a file descriptor of a process's lifeline. When the process ends, poll(2) reports POLLHUP for
    it. Raises OSError if the process or /proc does not exist.
    """
    return os.open(f"/proc/{pid}/fd/{watched}", os.O_RDONLY | os.O_NONBLOCK)
