"""Has the launcher read what a rank has said? One that is told to end a job ends it at once; what it has not
read is lost.
"""

import fcntl
import termios
import time
from typing import Any

LONGEST = 5.0               # seconds until nobody is thought to read any more


def until_read(file: Any) -> None:
    """Wait until the other end of a pipe has read it empty, at most LONGEST seconds. file: this end, or its
    descriptor.
    """
    deadline = time.monotonic() + LONGEST
    try:
        while any(fcntl.ioctl(file, termios.FIONREAD, bytes(4))) and time.monotonic() < deadline:
            time.sleep(0.01)
    except (OSError, TypeError, ValueError):                        # no pipe; closed, or no file at all
        pass
