"""Handles the signals that stop a training run. The training ends its current step and saves its state."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

# Their sources, in this order: Ctrl-C; kill, Slurm and systemd; a closed terminal; Slurm's warning before the
# time limit (two signals); the limit of CPU time.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
STOPPING = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))


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
