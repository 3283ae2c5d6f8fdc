"""Waits until the launcher has read a rank's output. When a launcher ends a failed job, output that it has
not read is lost.
"""

import fcntl
import termios
import time
from typing import Any

LONGEST = 5.0               # seconds after which the reader counts as gone


def until_read(file: Any) -> None:
    """Wait until the pipe is empty, but at most LONGEST seconds. file: this process's end of the pipe, or its
    file descriptor.
    """
    deadline = time.monotonic() + LONGEST
    try:
        while any(fcntl.ioctl(file, termios.FIONREAD, bytes(4))) and time.monotonic() < deadline:
            time.sleep(0.01)
    except (OSError, TypeError, ValueError):  # the file is closed, or is not a pipe or a file
        pass
