"""Limits the time of calls that wait inside the MPI library, where no Python code runs.

A rank makes such a call in a `with` block. A separate thread measures how long the call lasts. After the
limit, this thread ends the job, since nothing can interrupt the rank itself. The `with` block costs almost no
time.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.call_site import CallSite, location_of

INTERVAL = 0.1              # seconds between two readings of the clock
STEP = 0.5  # between two readings, at most this many seconds count, since the process may have been stopped


class NativeCall(NamedTuple):
    """A call that waits inside the library, with the thread that makes the call."""

    operation: str
    label: str | None
    thread: int

    def state(self) -> State:
        frame = sys._current_frames().get(self.thread)
        label = "" if self.label is None or isinstance(self.label, CallSite) else self.label
        return State("within", operation=self.operation, label=label, location=location_of(frame))


class Limit(Protocol):
    timeout: float


class Watchdog:
    """Calls `overdue(call)` in a separate thread if a call lasts longer than `limit.timeout` seconds.

        with watchdog.of("all_reduce", "loss"):
            intracomm.Allreduce(...)
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.overdue: Callable[[NativeCall], object] = lambda call: None
        self.call: NativeCall | None = None
        self.thread: threading.Thread | None = None

    def of(self, operation: str, label: str | None = None) -> Watchdog:
        """Returns a context that limits the time of one call."""
        self.call = NativeCall(operation, label, threading.get_ident())
        if self.thread is None:
            self.thread = threading.Thread(target=self.watch, name="minipar watchdog", daemon=True)
            self.thread.start()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.call = None

    def watch(self) -> None:
        call, waited, now = None, 0.0, time.monotonic()
        while True:
            time.sleep(INTERVAL)
            before, now = now, time.monotonic()
            if self.call is not call:
                call, waited = self.call, 0.0
            elif call is not None:
                waited += min(now - before, STEP)
                if waited > self.limit.timeout:
                    self.overdue(call)
                    call, waited = None, 0.0
