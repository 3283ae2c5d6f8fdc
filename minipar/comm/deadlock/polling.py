"""Limits the time of a loop of `test` calls. Such a loop can hang like a `wait`, so it has the same limit.

A rank polls from its first failed test until a request is complete or the rank sends a message. A send to a
rank that has ended does not end the polling, since no rank receives the message. If the program uses almost
no CPU time per test, the whole time counts as waiting. If it computes between the tests, a tenth of the time
counts. So a long computation that overlaps with communication is not taken for a deadlock, but it still has a
limit. Example with a limit of 30 s: `while not comm.test(r): pass` raises after 30 s. A loop with 10 ms of
work per test raises after 300 s.
"""

from __future__ import annotations

import time
from dataclasses import replace

from minipar.comm.backoff import EVERY_LOOK
from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.requests import partners, waiting
from minipar.comm.protocol import Communicator, Request

TICK = 1e-3                 # seconds between two readings of the clocks
WORK = 3e-4                 # if a test takes more CPU seconds than this, the program counts as computing
TENTH = 0.1                 # a second in which the program computes counts as TENTH seconds of waiting
# between two readings, at most this many seconds count, since the process may have been stopped
LONGEST = 1.0
FEWEST = 20                 # number of failed tests before the time limit applies
MOST = 40  # largest number of partners in a state; a rank with more is never treated as deadlocked
SURE = 1.0                  # after this many seconds without computing, a rank counts as waiting


class Polling:
    """The failed tests of one rank since its last progress."""

    def __init__(self) -> None:
        # the tested requests, in the order of their first tests
        self.requests: dict[Request, Communicator] = {}
        self.tests, self.recent = 0, 0
        # waited: seconds that count for the limit. idle: those of them in which the program did not compute.
        self.waited = self.idle = 0.0
        self.last = self.cpu = self.looked = 0.0  # wall time and CPU time of the last reading; last look

    def __bool__(self) -> bool:
        return self.tests > 0

    def stop(self) -> None:
        """Forget all failed tests, since the rank has made progress."""
        self.requests.clear()
        self.tests, self.recent, self.waited, self.idle = 0, 0, 0.0, 0.0

    def failed(self, comm: Communicator, request: Request) -> bool:
        """Record a failed test of a request of `comm`. Returns True if it is time to search for a deadlock.
        """
        now = time.monotonic()
        if not self.tests:
            self.last, self.looked, self.cpu = now, now, time.thread_time()
        self.requests[request] = comm
        self.tests += 1
        self.recent += 1
        if now - self.last >= TICK:
            cpu = time.thread_time()
            computes = cpu - self.cpu > WORK * self.recent
            passed = min(now - self.last, LONGEST)
            self.waited += passed * (TENTH if computes else 1.0)
            self.idle += 0.0 if computes else passed
            self.last, self.cpu, self.recent = now, cpu, 0
        if now - self.looked < EVERY_LOOK:
            return False
        self.looked = now
        return True

    def beyond(self, limit: float) -> bool:
        """Returns whether the rank has waited in tests for longer than `limit` seconds."""
        return self.waited > limit and self.tests >= FEWEST

    def sure(self, limit: float) -> bool:
        """Returns whether the rank calls `test` in a loop and does nothing else. limit: the longest allowed
        wait in seconds.
        """
        fresh = time.monotonic() - self.last < 2 * LONGEST
        idle = self.idle > min(SURE, limit / 2) and self.tests >= FEWEST and len(self.requests) <= MOST
        # a complete request ends the loop at the next test, even if this rank must wait for a core first
        return fresh and idle and not any(request.done for request in self.requests)

    def peers(self) -> list[int]:
        """Returns the world ranks whose messages this rank tests, in the order of the first tests."""
        return list(dict.fromkeys(peer for request, comm in self.requests.items()
                                  for peer in partners(comm, request)))

    def state(self, detail: str = "") -> State:
        """Returns this rank's state "testing". detail: a text about messages that arrived with another tag.
        """
        request, comm = next(iter(self.requests.items()))
        state = waiting(comm, request, detail)
        return replace(state, doing="testing", operation="test",
                       others=[peer for peer in self.peers() if peer != state.peer][:MOST])
