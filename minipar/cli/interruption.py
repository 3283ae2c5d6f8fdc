"""Handles the signals that stop a command. A training run ends its current step and saves its state. Every
other command ends its child processes, removes its temporary files, and reports the signal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from minipar.comm.held_signals import raise_or_wait

# Their sources, in this order: Ctrl-C; kill, Slurm and systemd; a closed terminal; Slurm's warning before the
# time limit (two signals); the limit of CPU time.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
STOPPING = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))
CLEAN_UP = 5.0                                                      # seconds
PAUSE = 0.02  # seconds until a signal whose error was lost is sent again


class Stopped(KeyboardInterrupt):
    """Raised when a signal asks this command to stop. Its argument is the number of the signal.

    Python drops an error that is raised inside a destructor, or inside a callback of a weak reference. C code
    may clear an error, too. Then the command would go on. A dropped error is freed at once, and then
    `when_lost` is called.
    """

    def __init__(self, number: int, when_lost: Callable[[int], None]) -> None:
        super().__init__(number)
        self.when_lost: Callable[[int], None] | None = when_lost

    def __del__(self) -> None:
        if self.when_lost is not None:
            self.when_lost(self.args[0])


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """A context in which SIGQUIT and the signals in STOPPING raise KeyboardInterrupt, as Ctrl-C does. The
    argument of the error is the number of the signal. So every `finally` is executed: it ends child processes
    and removes temporary files.

    After the first signal, SIGQUIT (Ctrl-\\) ends the process at once, and Ctrl-C raises again. The other
    signals have no effect for CLEAN_UP seconds, since launchers and Slurm send several. A signal that the
    process ignores or handles already is left as it is. If the error is lost, the signal is sent again (see
    Stopped). The code that handles the error calls `is_handled`.
    """
    if threading.current_thread() is not threading.main_thread():   # only the main thread can set handlers
        yield
        return

    last, over, lock = -CLEAN_UP, False, threading.Lock()

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if time.monotonic() < last + CLEAN_UP:
            return
        last = time.monotonic()
        if signal.SIGQUIT in taken:
            signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        raise_or_wait(Stopped(number, send_again))  # no variable may keep a lost error alive

    def send_again(number: int) -> None:
        nonlocal last
        if over:
            return
        last = -CLEAN_UP
        if signal.SIGQUIT in taken:
            with suppress(ValueError):                              # another thread has freed the error
                signal.signal(signal.SIGQUIT, interrupt)
        start_new_thread(send_later, (number,))

    def send_later(number: int) -> None:
        time.sleep(PAUSE)
        with lock:                                                  # never after the end of the context
            if not over:
                os.kill(os.getpid(), number)

    taken = [number for number in (*STOPPING, signal.SIGQUIT)
             if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        with lock:
            over = True
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def is_handled(error: KeyboardInterrupt) -> None:
    """Tell `interrupted_by_signals` that the command ends because of this error."""
    if isinstance(error, Stopped):
        error.when_lost = None


class Interruption:
    """A context in which the signals in STOPPING do not end the process. `number` is the number of the first
    signal, or 0.

    If the process has already received a signal, Ctrl-C ends it at once. Other repeated signals have no
    effect, because Slurm sends a warning first. If the process ignores SIGHUP, as under nohup, SIGHUP stays
    ignored.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number

    def __enter__(self) -> Interruption:
        for number in STOPPING:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
