"""When is a rank that tests, and tests again, waiting? A loop of `test` calls hangs as a `wait` does, so it
has the same limit.

A rank polls from its first failed test until it gets on: a request is done, or it sends something. Time
counts as waiting when the program has used next to no CPU per test: it spins or sleeps between the tests.
Time in which it computes between the tests counts a tenth, so that communication that is overlapped with a
long computation is not taken for a deadlock, and still ends some day. Example, with a limit of 30 s: `while
not comm.test(r): pass` ends after 30 s, a loop with 10 ms of work in it after 300 s.
"""

from __future__ import annotations

import time
from dataclasses import replace

from minipar.comm.backoff import EVERY_LOOK
from minipar.comm.deadlock.wait_graph import State
from minipar.comm.diagnostics.requests import partners, waiting
from minipar.comm.protocol import Communicator, Request

TICK = 1e-3                 # seconds between two readings of the clocks
WORK = 3e-4                 # seconds of CPU per test, above which the program computes between its tests
TENTH = 0.1                 # what a second counts in which it computes
LONGEST = 1.0  # seconds that one pause counts at most: the process may have been stopped meanwhile
FEWEST = 20                 # tests that must have failed before anything is concluded from them
MOST = 40                   # partners that one notice names; a rank that tests more is never sure to be stuck
SURE = 1.0                  # seconds of waiting after which a rank is thought to do nothing but test


class Polling:
    """The failed tests of one rank since it last got on."""

    def __init__(self) -> None:
        self.requests: dict[Request, Communicator] = {}             # those that were tested, in order
        self.tests, self.recent = 0, 0
        self.waited = self.idle = 0.0  # what counts for the limit; the part without computing
        self.last = self.cpu = self.looked = 0.0  # when the clocks were read; when the rank looked around

    def __bool__(self) -> bool:
        return self.tests > 0

    def stop(self) -> None:
        """The rank gets on."""
        self.requests.clear()
        self.tests, self.recent, self.waited, self.idle = 0, 0, 0.0, 0.0

    def failed(self, comm: Communicator, request: Request) -> bool:
        """One more test of a request of `comm` has failed; returns whether it is time to look around."""
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
        """Whether the rank has waited for longer than `limit` seconds by testing."""
        return self.waited > limit and self.tests >= FEWEST

    def sure(self, limit: float) -> bool:
        """Whether the rank seems to do nothing but test. limit: the longest wait that is allowed."""
        fresh = time.monotonic() - self.last < 2 * LONGEST
        return fresh and self.idle > min(SURE, limit
                                         / 2) and self.tests >= FEWEST and len(self.requests) <= MOST

    def peers(self) -> list[int]:
        """The world ranks whose messages are tested, the first first."""
        return list(dict.fromkeys(peer for request, comm in self.requests.items()
                                  for peer in partners(comm, request)))

    def state(self, detail: str = "") -> State:
        """What to write about this rank in its place: that it tests. detail: what came instead."""
        request, comm = next(iter(self.requests.items()))
        state = waiting(comm, request, detail)
        return replace(state, doing="testing", operation="test",
                       others=[peer for peer in self.peers() if peer != state.peer][:MOST])
