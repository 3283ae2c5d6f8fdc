"""Catches errors that Python prints but does not raise. They occur in threads of the program, in `__del__`,
in atexit functions, and after the end of a job. Such an error must end all ranks.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from minipar.comm.diagnostics.call_site import caller
from minipar.errors import CommError

Report = Callable[[BaseException], object]


def report_escapes(report: Report) -> Callable[[], None]:
    """From now on, call report(error) for an exception that ends a thread, and for a CommError that Python
    would only print. Returns a function that undoes this change.

    `report` runs in the thread that failed. sys.exit(0) and sys.exit() in a thread are not errors.
    """
    in_thread, ignored, in_main = threading.excepthook, sys.unraisablehook, sys.excepthook
    kind = CommError  # a local name: when Python ends, it sets the global names of this module to None

    def thread_ended(args: Any) -> None:
        if not isinstance(args.exc_value, SystemExit) or args.exc_value.code:
            report(args.exc_value or args.exc_type())

    def is_ignored(args: Any) -> None:
        if isinstance(args.exc_value, kind):
            report(args.exc_value)
        else:
            ignored(args)

    def program_ended(*args: Any) -> None:
        if isinstance(args[1], kind):                               # a call after the end of the job
            report(args[1])
        else:
            in_main(*args)

    threading.excepthook, sys.unraisablehook, sys.excepthook = thread_ended, is_ignored, program_ended

    def undo() -> None:
        threading.excepthook, sys.unraisablehook, sys.excepthook = in_thread, ignored, in_main

    return undo


def guard_exit(report: Report) -> Callable[[], None]:
    """From now on, call report(error) if this process calls os._exit(0). Returns a function that undoes this
    change.

    A launcher treats status 0 as success. os._exit with another status ends the process as usual. So does any
    os._exit in a child process.
    """
    leave, owner = os._exit, os.getpid()

    def left(status: int) -> NoReturn:
        if os.getpid() == owner and not status & 0xFF:
            report(CommError(f"os._exit({status}) at {caller()[1]} ends this rank before the job's end; "
                             "return, or call sys.exit"))
        leave(status)

    def undo() -> None:
        os._exit = leave

    os._exit = left
    return undo


@contextmanager
def raising_escapes() -> Iterator[None]:
    """A context that collects the errors of threads and `__del__`. At its end, it raises the first one. If
    the block itself raises an error, only that error is raised.
    """
    errors: list[BaseException] = []
    undo = report_escapes(errors.append)
    try:
        yield
    finally:
        undo()
    if errors:
        raise errors[0]
