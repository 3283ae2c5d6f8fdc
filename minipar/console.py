"""Streams for stdout and stderr that never raise. If text cannot be written, the stream drops the text and
stores the error.

stdout or stderr can be closed from the start (cron, a daemon, `2>&-`). The disk of the output file can be
full. The reader can be gone (`| head`, a closed terminal). Without a Console, an error would then be raised
in a print, in a flush, at the exit of the interpreter, or because `sys.stderr` is None. Console handles all
these errors, so a training run continues.
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
    """A text stream that writes to another stream and stores that stream's first error. lost: this error, or
    None.

    stream: the other stream; None if it is closed from the start. number: its file descriptor (1 or 2).
    """

    def __init__(self, stream: TextIO | None, number: int) -> None:
        self.lost: OSError | None = None
        self._closed = stream is None
        # If the descriptor was closed, `open_standard_files` has connected it to /dev/null.
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
        except UnicodeEncodeError as error:  # the encoding of the terminal lacks a character
            self.write(error.object.encode("ascii", "replace").decode())
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.lost = self.lost or (error if isinstance(error, OSError)
                                      else OSError(errno.EBADF, str(error)))
            self._discard()

    def _discard(self) -> None:
        """Connect the descriptor to /dev/null. Text in the stream's buffer also goes there. So Python finds
        no error at its exit.
        """
        with suppress(AttributeError, OSError, ValueError):         # the stream may not be a file
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def open_standard_files() -> None:
    """If descriptor 0, 1 or 2 is closed, connect it to /dev/null.

    Without this, the next opened file or connection would get the number of a closed descriptor. If a
    checkpoint file got number 2, a library's text for stderr would be written into the checkpoint.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def install() -> tuple[Console, Console]:
    """Replace sys.stdout and sys.stderr by Consoles, unless they are already Consoles. Returns both."""
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
    """A context in which sys.stdout and sys.stderr are Consoles. Yields both. Afterwards the old streams are
    restored.
    """
    before = sys.stdout, sys.stderr
    out, err = install()
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def status_of(out: Console, title: str) -> int:
    """Returns the exit status of a successful program: 0 if all output was written, or 141 if the reader of
    the output has ended, as in `| head`. If output was lost for another reason, writes a line to stderr and
    returns LOST.
    """
    out.flush()
    if out.lost is None:
        return 0
    if out.lost.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    tell(f"{title}: done, but stdout cannot be written: {out.lost.strerror}; its output is lost")
    return LOST


def guard_program(title: str) -> None:
    """Use Consoles from this call on, in a program that is not a command of minipar. If the program ends
    without an error, its exit status is the result of `status_of`.
    """
    out, _ = install()

    def leave() -> None:
        status = status_of(out, title)
        if status and not hasattr(sys, "last_value"):
            os._exit(status)  # this is the only way to set the status in an atexit function

    atexit.register(leave)


def tell(text: str) -> None:
    """Write a line to stderr in one call, so that the lines of several processes do not mix."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
