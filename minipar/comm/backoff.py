"""How a rank waits: with a time limit, which MPI_Wait does not have.

A waiting rank tests repeatedly. At first it spins: this is fastest while messages are in flight. After the
first few tests, or if there are more ranks than cores, it yields the core after each test. Then it sleeps
between tests, so that computing ranks get the cores. Sleeping adds latency, so the sleep is short; if there
are more ranks than cores it is longer, and grows with the wait (measured by benchmarks/waiting.py). From time
to time the rank calls `look`, which checks the time limit and searches for deadlocks.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SPINS = 60                  # tests before the first sleep: some tens of microseconds
OWN_CORE_SPINS = 600        # the same if each rank has a core: longer than a message of 1 MiB takes
EAGER = 20                  # the first of them, which do not yield the core: some microseconds
PAUSE = 20e-6               # seconds of sleep between tests, times the number of ranks per core
# with more ranks than cores: sleep GROWTH times the wait so far, at most LONGEST seconds
GROWTH, LONGEST = 0.1, 1e-3
FIRST_LOOK, EVERY_LOOK = 0.02, 0.05             # seconds of waiting before the first look, and between looks


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Patience:
    """How one rank waits. `ranks` share this node's cores."""

    def __init__(self, ranks: int) -> None:
        crowd = max(1.0, ranks / cores())
        self.pause, self.longest = PAUSE * crowd, LONGEST if crowd > 1 else PAUSE
        self.eager, self.spins = (EAGER, OWN_CORE_SPINS) if crowd == 1 else (0, SPINS)

    def spin(self, test: Callable[[T], bool], argument: T) -> bool:
        """Call test(argument) until it is true, at most `spins` times; returns whether it became true."""
        for _ in range(self.eager):
            if test(argument):
                return True
        for _ in range(self.spins - self.eager):
            if test(argument):
                return True
            os.sched_yield()
        return False

    def wait(self, test: Callable[[T], bool], argument: T, look: Callable[[T, float], None]) -> None:
        """Return when test(argument) is true. Calls look(argument, seconds waited) from time to time, which
        may raise.

        If the process was stopped, that time must not count as waiting: so one sleep counts at most
        EVERY_LOOK seconds.
        """
        if self.spin(test, argument):
            return
        waited, next_look, now = 0.0, FIRST_LOOK, time.monotonic()
        while not test(argument):
            time.sleep(min(self.longest, max(self.pause, GROWTH * waited)))
            before, now = now, time.monotonic()
            waited += min(now - before, EVERY_LOOK)
            if waited >= next_look:
                next_look = waited + EVERY_LOOK
                look(argument, waited)
