"""Holds signals back while a child process or a temporary folder is made.

The handler of a signal can raise an error between any two instructions of Python. If it raises inside
`subprocess.Popen`, the caller gets no object, so nobody ends the child that runs already. The error of a
temporary folder that exists, but has no object yet, leaves the folder behind. So the error waits in these
moments. Python executes handlers in the main thread only, so other threads need not hold signals back.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

_waiting: list[BaseException] = []                                  # errors that wait for the end of a block
_depth = 0                                                          # nested blocks of the main thread


def raise_or_wait(error: BaseException) -> None:
    """Raise the error of a signal. Inside `signals_held`, the error is raised at the end of the block. The
    handlers of minipar call this function.
    """
    try:
        if not _depth:
            raise error
        _waiting.append(error)
    finally:
        del error                       # otherwise the error and its traceback would keep each other alive


@contextmanager
def signals_held() -> Iterator[None]:
    """A context in which the error of a signal waits. The first waiting error is raised at its end."""
    global _depth
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth and _waiting:
            first = _waiting.pop(0)
            _waiting.clear()
            try:
                raise first
            finally:
                del first


@contextmanager
def child_process(line: Sequence[str], end: Callable[[subprocess.Popen[Any]], object],
                  **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A context with a new child process. If the block raises, `end(child)` ends the child. No signal can
    come between the start and the block. options: the options of `subprocess.Popen`.

    >>> import sys, subprocess
    >>> from minipar.comm.held_signals import child_process
    >>> with child_process([sys.executable, "-c", "pass"], subprocess.Popen.kill) as child:
    ...     child.wait()
    0
    """
    child = None
    try:
        with signals_held():
            child = subprocess.Popen(line, **options)
        yield child
    except BaseException:
        if child is not None:
            end(child)
        raise


def temporary_folder(prefix: str) -> TemporaryDirectory[str]:
    """Returns a new temporary folder, which is removed at the latest when the process ends. A signal cannot
    leave it behind. prefix: the beginning of its name.
    """
    with signals_held():
        return TemporaryDirectory(prefix=prefix)
