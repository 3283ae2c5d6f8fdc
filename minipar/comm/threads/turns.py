"""Chooses the ranks that may run. If there are many ranks, only a few run at a time.

Python runs one thread at a time. A thread that could run wakes up every few milliseconds and asks for the
interpreter. With a thousand such threads, the cores do nothing else. So a rank needs a turn to run, and there
are only FEW turns. A rank gives its turn back when it waits for a message or ends. A rank is ready if it can
continue but has no turn. The rank that became ready last gets the next free turn. It is often a partner of
the ranks that ran last. So small groups of ranks run one after the other, and the data of a group stay in the
cache. Every FAIR-th turn goes to the rank that has been ready for the longest time, so that no rank waits for
ever.

A rank may also sleep, or test a request in a loop. Then the rank keeps its turn, and the other ranks need
more turns. `failed_test` gives one more turn. `run` calls `tick` regularly; while no turn ends, each `tick`
gives more turns than the previous one.
"""

from __future__ import annotations

import threading
from collections import deque

ALL = 16  # if there are at most this many ranks, all may run
FEW = 2  # number of turns if there are more ranks
FAIR = 16  # every FAIR-th turn goes to the rank that has been ready for the longest time


class Turns:
    """The turns of the ranks. The caller of each method except `wait` holds the lock of the world."""

    def __init__(self, size: int) -> None:
        # number of free turns; all ranks start with a turn, so it may be negative
        self.free = FEW - size if size > ALL else size
        self.ready: deque[int] = deque()
        self.given = self.ended = self.ended_at_tick = 0
        self.extra = 1
        # one locked lock per rank; a rank blocks in `acquire` until `resume` or `give` releases its lock
        self.gates = [threading.Lock() for _ in range(size)]
        for gate in self.gates:
            gate.acquire()

    def wait(self, rank: int, seconds: float = -1) -> bool:
        """Block this rank until its next turn, but at most for `seconds`. Returns whether the rank has a
        turn.
        """
        return self.gates[rank].acquire(timeout=seconds)

    def resume(self, rank: int) -> None:
        """Give a turn to a blocked rank that can continue: at once, or when a turn is free."""
        if self.free > 0:
            self.free -= 1
            self.gates[rank].release()
        else:
            self.ready.append(rank)

    def end(self) -> None:
        """Take back the turn of a rank that blocks or has finished."""
        self.ended += 1
        self.free += 1
        if self.ready and self.free > 0:
            self.give(1)

    def take(self) -> None:
        """Record that a rank continues without a turn, because its wait has failed."""
        self.free -= 1

    def give(self, turns: int) -> None:
        """Give turns to the ranks that are ready, even if no turn is free."""
        for _ in range(min(turns, len(self.ready))):
            self.free -= 1
            self.given += 1
            rank = self.ready.popleft() if self.given % FAIR == 0 else self.ready.pop()
            self.gates[rank].release()

    def failed_test(self) -> None:
        """Give one turn after a failed test, since the sender of the tested message may be without a turn."""
        if self.ready:
            self.give(1)

    def tick(self) -> None:
        """Give more turns if no turn has ended since the last call. `run` calls this method regularly."""
        self.extra = 1 if self.ended != self.ended_at_tick else 2 * self.extra
        self.ended_at_tick = self.ended
        if self.extra > 1:
            self.give(self.extra)
