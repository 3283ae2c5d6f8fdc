"""Which ranks may run: with many ranks, a few at a time.

Python runs one thread at a time. A thread that could run wakes up every few milliseconds to ask for its turn,
so a thousand such threads use the cores for nothing else. Here a rank that can continue stays blocked until
one of FEW turns is free. A rank gives its turn back when it waits for a message or ends, and the rank that
has been ready for the longest time gets it.

A rank may also wait for something that is not a message: it sleeps, or tests a request in a loop. Then it
keeps its turn, and the others need more turns: `failed_test` gives one, and `tick`, which `run` calls
regularly, gives more and more of them while no turn ends.
"""

from __future__ import annotations

import threading
from collections import deque

ALL = 16  # up to so many ranks, all may run
FEW = 4  # turns of more ranks


class Turns:
    """The turns of the ranks. Its methods are called with the lock of the world held, except `wait`."""

    def __init__(self, size: int) -> None:
        self.free = FEW - size if size > ALL else size  # all ranks run when they start; negative: too many
        self.ready: deque[int] = deque()
        self.ended, self.ended_at_tick, self.extra = 0, 0, 1
        # a rank that is blocked acquires its gate, which is locked
        self.gates = [threading.Lock() for _ in range(size)]
        for gate in self.gates:
            gate.acquire()

    def wait(self, rank: int, seconds: float = -1) -> bool:
        """Block this rank until its next turn, or for so many seconds; returns whether it has a turn.
        """
        return self.gates[rank].acquire(timeout=seconds)

    def resume(self, rank: int) -> None:
        """The rank, which is blocked, can continue: it gets a turn, now or later."""
        if self.free > 0:
            self.free -= 1
            self.gates[rank].release()
        else:
            self.ready.append(rank)

    def end(self) -> None:
        """A rank blocks, or has finished: its turn is free."""
        self.ended += 1
        self.free += 1
        if self.ready and self.free > 0:
            self.give(1)

    def take(self) -> None:
        """A rank continues although it has not got a turn, because its wait has failed."""
        self.free -= 1

    def give(self, turns: int) -> None:
        """Give turns to the ranks that are ready, also if none is free."""
        for _ in range(min(turns, len(self.ready))):
            self.free -= 1
            self.gates[self.ready.popleft()].release()

    def failed_test(self) -> None:
        """A rank has tested a request in vain: a rank that is ready may have to send the message."""
        if self.ready:
            self.give(1)

    def tick(self) -> None:
        """Called regularly. If no turn has ended since the last call, give more of them."""
        self.extra = 1 if self.ended != self.ended_at_tick else 2 * self.extra
        self.ended_at_tick = self.ended
        if self.extra > 1:
            self.give(self.extra)
