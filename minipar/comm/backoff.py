"""Waits until a test succeeds. Ranks use this waiting instead of MPI_Wait, which has no time limit.

A waiting rank tests repeatedly. At first it tests without pauses, which is fastest while messages are in
flight. Later it yields the core after each test, so that another process can run. If there are more ranks
than cores, it yields from the first test on. Still later, it sleeps between tests, so that computing ranks
get the cores. Sleeping adds latency, so the sleep is short. If there are more ranks than cores, the sleep is
longer and grows with the wait (measured by benchmarks/waiting.py). From time to time the rank calls `look`,
which checks the time limit and searches for deadlocks.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# number of tests before the first sleep if there are more ranks than cores; together they take some tens of
# microseconds
SPINS = 60
# number of tests before the first sleep if each rank has its own core; together they take longer than a
# message of 1 MiB
OWN_CORE_SPINS = 600
EAGER = 20  # number of tests at the start that do not yield the core; they take some microseconds
PAUSE = 20e-6               # seconds of sleep between tests; multiplied by the number of ranks per core
# If there are more ranks than cores, each sleep lasts GROWTH times the seconds waited so far, but at least
# the pause above and at most LONGEST seconds.
GROWTH, LONGEST = 0.1, 1e-3
# FIRST_LOOK: seconds of waiting before the first look. EVERY_LOOK: seconds between two looks.
FIRST_LOOK, EVERY_LOOK = 0.02, 0.05


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Patience:
    """Waits on behalf of one rank. ranks: the number of ranks that share this node's cores."""

    def __init__(self, ranks: int) -> None:
        crowd = max(1.0, ranks / cores())
        self.pause, self.longest = PAUSE * crowd, LONGEST if crowd > 1 else PAUSE
        self.eager, self.spins = (EAGER, OWN_CORE_SPINS) if crowd == 1 else (0, SPINS)

    def spin(self, test: Callable[[T], bool], argument: T) -> bool:
        """Call test(argument) until it returns True, at most `spins` times. Returns whether it has returned
        True.
        """
        for _ in range(self.eager):
            if test(argument):
                return True
        for _ in range(self.spins - self.eager):
            if test(argument):
                return True
            os.sched_yield()
        return False

    def wait(self, test: Callable[[T], bool], argument: T, look: Callable[[T, float], None]) -> None:
        """Wait until test(argument) returns True. From time to time, call look(argument, seconds waited),
        which may raise.

        One sleep counts as at most EVERY_LOOK seconds. So if the process was stopped (Ctrl-Z), that time does
        not count as waiting.
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
