"""Waiting is ours, not MPI's: MPI_Wait spins for ever and cannot be given a limit.

A waiting rank tests again and again. At first it spins, and yields the core each time: nothing is faster
while messages are on their way. Then it sleeps between tests, so that ranks that compute get the cores. The
price is some latency, so the sleep is short; where ranks outnumber cores it is longer, and grows with the
wait. benchmarks/waiting.py shows what that brings. From time to time the rank looks around: the place for a
limit or a roll call.
"""

import os
import time
from collections.abc import Callable

SPINS = 60                  # tests before the first sleep: some tens of microseconds
PAUSE = 20e-6               # seconds of sleep between tests, times the number of ranks per core
# where ranks outnumber cores: at least this part of the wait so far, at most so many seconds
GROWTH, LONGEST = 0.1, 1e-3
FIRST_LOOK, EVERY_LOOK = 0.02, 0.05             # seconds of waiting before the first look, and between looks


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Patience:
    """How one rank waits. `ranks` share this node's cores."""

    def __init__(self, ranks: int) -> None:
        crowd = max(1.0, ranks / cores())
        self.pause, self.longest = PAUSE * crowd, LONGEST if crowd > 1 else PAUSE

    def wait(self, test: Callable[[], bool], look: Callable[[float], None]) -> None:
        """Return once test() is true. Calls look(seconds waited) now and then, which may raise.

        A rank that was stopped and goes on must not take its absence for waiting: a sleep counts for what a
        sleep may last.
        """
        for _ in range(SPINS):
            if test():
                return
            os.sched_yield()
        waited, next_look, now = 0.0, FIRST_LOOK, time.monotonic()
        while not test():
            time.sleep(min(self.longest, max(self.pause, GROWTH * waited)))
            before, now = now, time.monotonic()
            waited += min(now - before, EVERY_LOOK)
            if waited >= next_look:
                next_look = waited + EVERY_LOOK
                look(waited)
