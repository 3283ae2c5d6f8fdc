"""The lifeline is a pipe of this process that carries no data. It breaks when the process ends, and this
wakes the watcher.

When one rank ends, a launcher kills the other ranks. On a busy machine, the system may report the ends of
these ranks first, since a process closes its files some time before its parent is notified. So the order of
these reports could name the wrong rank. When a process ends, Linux closes the file that was opened last
before all others. The lifeline is opened after MPI's connections, so it breaks before they do. Therefore the
lifelines break in the order in which the ranks began to end.
"""

from __future__ import annotations

import os
from contextlib import suppress


def hold_lifeline() -> int:
    """Open the pipe until this process ends. Returns the file descriptor of the end that others watch."""
    watched, held = os.pipe()

    def let_go() -> None:
        for end in (watched, held):
            with suppress(OSError):
                os.close(end)

    os.register_at_fork(after_in_child=let_go)  # a child process would keep the pipe open
    return watched


def watch_lifeline(pid: int, watched: int) -> int:
    """Returns a file descriptor that hangs up (poll(2): POLLHUP) when process pid ends. Raises OSError if the
    process or /proc does not exist.
    """
    return os.open(f"/proc/{pid}/fd/{watched}", os.O_RDONLY | os.O_NONBLOCK)
