"""Tells a watcher that this process ends before anybody else can know: a pipe that nobody writes into, and
that breaks.

A launcher kills the other ranks once it sees one end, and on a busy machine these may be dead before the
first is: a process that ends closes its files some time before its parent is told. Then the order of the
deaths accuses the wrong rank. The files are closed in an order, too, the last one opened first (as Linux does
it), so a pipe that was opened after MPI's connections breaks before they do.
"""

from __future__ import annotations

import os
from contextlib import suppress


def hold_lifeline() -> int:
    """Open the pipe, until this process ends; returns the number of its end to be watched, among this
    process's own files.
    """
    watched, held = os.pipe()

    def let_go() -> None:
        for end in (watched, held):
            with suppress(OSError):
                os.close(end)

    os.register_at_fork(after_in_child=let_go)  # a child that lives on would keep the pipe whole
    return watched


def watch_lifeline(pid: int, watched: int) -> int:
    """A file that hangs up (poll(2): POLLHUP) as soon as process pid ends. Raises OSError where pid or /proc
    is not there.
    """
    return os.open(f"/proc/{pid}/fd/{watched}", os.O_RDONLY | os.O_NONBLOCK)
