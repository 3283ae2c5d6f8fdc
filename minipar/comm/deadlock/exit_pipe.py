"""The lifeline: a pipe of this process without data. It breaks when the process ends, which wakes the
watcher.

A launcher kills the other ranks when one ends. On a busy machine these may be reported as ended before the
first one, since a process closes its files some time before its parent is notified. So the order of the ends
can name the wrong rank. Linux closes the last opened file first; a pipe opened after MPI's connections
therefore breaks before them, and the order of broken pipes is the order of the ends.
"""

from __future__ import annotations

import os
from contextlib import suppress


def hold_lifeline() -> int:
    """Open the pipe for the life of this process; returns the file descriptor of the end to watch."""
    watched, held = os.pipe()

    def let_go() -> None:
        for end in (watched, held):
            with suppress(OSError):
                os.close(end)

    os.register_at_fork(after_in_child=let_go)  # a child process would keep the pipe open
    return watched


def watch_lifeline(pid: int, watched: int) -> int:
    """A file descriptor that hangs up (poll(2): POLLHUP) when process pid ends. Raises OSError if pid or
    /proc does not exist.
    """
    return os.open(f"/proc/{pid}/fd/{watched}", os.O_RDONLY | os.O_NONBLOCK)
