"""A small process beside each node's ranks that outlives them: `python -m minipar.comm.watcher FILE SIZE RANK...`.

When a rank is killed, the launcher kills the others a moment later, so no rank is left to say what happened. The watcher sleeps
until one of their processes ends and reads their board at that moment. It is in a session of its own, so it survives, and it
prints the last roll call.
"""

import os
import select
import sys

from minipar.comm.board import Board
from minipar.comm.rollcall import roll_call

INTERVAL = 0.02             # seconds between looks where the system cannot wake the watcher


def watch(board: Board) -> str:
    """Returns the roll call once a rank of this node has left without a word; "" once all have ended in some other way."""
    alarm = Alarm([board.process(rank)[0] for rank in board.slots])
    while True:
        states = [notice.state for notice in board.everyone()]
        lost = [rank for rank in board.slots if states[rank].doing == "gone"]
        if lost:
            names = f"rank {lost[0]}" if len(lost) == 1 else f"ranks {', '.join(map(str, lost))}"
            story = f"{names} left without a word (killed, out of memory, or os._exit): {roll_call(states)}"
            return story if board.claim() else ""
        if all(states[rank].doing in ("finished", "failed") for rank in board.slots):
            return ""
        alarm.wait()


class Alarm:
    """Wakes its owner when one of these processes ends (pidfd_open(2), Linux 5.3); elsewhere, after an interval."""

    def __init__(self, pids: list[int]) -> None:
        self.endings = select.poll()
        try:
            for pid in pids:
                self.endings.register(os.pidfd_open(pid), select.POLLIN)
            self.longest = 1.0
        except (AttributeError, OSError):                           # an older system, or one of them has ended already
            self.longest = INTERVAL

    def wait(self) -> None:
        for ended, _ in self.endings.poll(1000 * self.longest):
            self.endings.unregister(ended)


def main(file: int, size: int, *ranks: int) -> None:
    if story := watch(Board(file, size, {rank: slot for slot, rank in enumerate(ranks)})):
        print(f"CommError: {story}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
