"""stdout and stderr that never decide over the work: what cannot be written is dropped, and noted.

A console can be closed from the start (cron, a daemon, `2>&-`), full (a file on a full disk), gone (`| head`,
a terminal that hung up). Each of these raises at a different place: at a print, at a flush, at the
interpreter's end, or `sys.stderr` is None. Here all of them end in one place, and training goes on.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

LOST = 74                                                           # EX_IOERR of sysexits(3)


class Console:
    """A text stream in front of another one, whose failures it keeps to itself. lost: the first failure, None
    so far.

    stream: None for one that is closed from the start. number: its file descriptor (1 or 2).
    """

    def __init__(self, stream: TextIO | None, number: int) -> None:
        self.lost: OSError | None = None
        self._closed = stream is None
        # Of a file descriptor that is closed: `open_standard_files` has pointed it at /dev/null.
        self._stream: TextIO = stream or open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text and self._closed:
            self.lost = self.lost or OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._guarded(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._guarded(self._stream.flush)

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except UnicodeEncodeError as error:  # the terminal cannot show it, and the stream cannot be told so
            self.write(error.object.encode("ascii", "replace").decode())
        except (OSError, ValueError) as error:  # ValueError: somebody has closed the stream
            self.lost = self.lost or (error if isinstance(error, OSError)
                                      else OSError(errno.EBADF, str(error)))
            self._discard()

    def _discard(self) -> None:
        """From now on what is written goes to /dev/null, with what the stream still holds: Python's own end
        must find no error.
        """
        with suppress(AttributeError, OSError, ValueError):         # it may be no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def open_standard_files() -> None:
    """Point those of descriptors 0, 1 and 2 that are closed at /dev/null.

    Otherwise the next file to be opened, or a connection of MPI, gets the number, and what a library writes
    to stderr ends up in a checkpoint.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def install() -> tuple[Console, Console]:
    """Put a Console in place of sys.stdout and of sys.stderr, where there is none yet; returns both."""
    open_standard_files()
    both = [stream if isinstance(stream, Console) else Console(stream, number)
            for number, stream in ((1, sys.stdout), (2, sys.stderr))]
    sys.stdout, sys.stderr = both
    for console in both:
        with suppress(AttributeError, OSError, ValueError):
            console.reconfigure(errors="replace" if console is both[0] else "backslashreplace")
    return both[0], both[1]


@contextmanager
def consoles() -> Iterator[tuple[Console, Console]]:
    """In the `with` block sys.stdout and sys.stderr are Consoles; afterwards what they were. Yields both."""
    before = sys.stdout, sys.stderr
    out, err = install()
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def status_of(out: Console, title: str) -> int:
    """The exit status of a program that went well, by what became of its output: 0; LOST, and a line on
    stderr, where some is lost; 141 where nobody reads on, as in `| head`.
    """
    out.flush()
    if out.lost is None:
        return 0
    if out.lost.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    tell(f"{title}: done, but stdout cannot be written: {out.lost.strerror}; what it should have said is "
         "lost")
    return LOST


def guard_program(title: str) -> None:
    """The same for a whole program that is no command of minipar: Consoles from here on, and at its end the
    exit status of `status_of`, unless it ends with an error.
    """
    out, _ = install()

    def leave() -> None:
        status = status_of(out, title)
        if status and not hasattr(sys, "last_value"):
            os._exit(status)  # the only way to set it at the end of a program

    atexit.register(leave)


def tell(text: str) -> None:
    """Write a line to stderr, whole, so that the lines of several processes do not mix."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
