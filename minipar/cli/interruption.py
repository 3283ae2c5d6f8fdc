"""Ctrl-C and SIGTERM as a wish to stop, not as an accident."""

from __future__ import annotations

import signal
from types import FrameType


class Interruption:
    """While it is entered, Ctrl-C and SIGTERM do not end the process but are noted: the step ends, the state is saved.

    A second Ctrl-C ends it at once. number: of the signal, 0 for none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, object] = {}

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)                          # type: ignore[arg-type]
