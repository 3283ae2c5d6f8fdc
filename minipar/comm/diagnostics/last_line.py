"""Writes the last text of a process that ends. This file imports little, because the watcher of each job
loads it (deadlock/watcher.py).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from minipar.comm.diagnostics.drain_stderr import until_read


def tell(text: str) -> bool:
    """Write the text to stderr at once, or to stdout if stderr fails. Then wait until the text is read.
    Returns False if both fail.
    """
    for file in (sys.stderr, sys.stdout):
        try:
            file.write(f"{text}\n")
            file.flush()
        except (AttributeError, OSError, ValueError):  # the file is closed (None), full or broken
            continue
        if getattr(file, "lost", None):  # a Console (minipar.console) sets `lost` instead of an error
            continue
        until_read(file)
        return True
    return False


def silence_stderr() -> None:
    """Connect stderr to /dev/null. This is called before MPI_Abort, to hide the MPI library's own message."""
    with suppress(OSError):                                         # for example, too many open files
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
