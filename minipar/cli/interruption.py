"""Signals that ask a training to stop: noted, so that the step ends and the state is saved, not obeyed at
once.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

# Ctrl-C; kill, Slurm and systemd; a closed terminal; what Slurm can send before the time is up; the limit of
# CPU time.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
STOPPING = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))


class Interruption:
    """While it is entered, the signals in STOPPING do not end the process but are noted: the step ends, the
    state is saved.

    A second Ctrl-C ends it at once; other signals may come again (Slurm warns, then asks). A SIGHUP that is
    ignored already, as under nohup, stays ignored. number: of the first signal, 0 for none.
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
