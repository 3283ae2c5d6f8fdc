"""Which of several programs is the fastest, on a machine that does other things too."""

from __future__ import annotations

import time
from collections.abc import Callable


def fastest(*programs: Callable[[], object], rounds: int = 9) -> list[float]:
    """Seconds of the processor that each takes, the least of several rounds in which they take turns.

    Of the processor, since other programs lengthen the clock's more; in turns, so that a slow moment meets
    them all.
    """
    taken = [[_seconds(program) for program in programs] for _ in range(rounds)]
    return [min(times) for times in zip(*taken, strict=True)]


def _seconds(program: Callable[[], object]) -> float:
    began = time.thread_time()
    program()
    return time.thread_time() - began
