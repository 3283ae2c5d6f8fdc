"""A small process beside each node's ranks that outlives them: `python -m minipar.comm.watcher FILE SIZE RANK...`.

When a rank is killed, the launcher kills the others a moment later, so no rank is left to say what happened. The watcher sleeps
until one of their processes ends, and then tells what each rank was doing. It is in a session of its own, so it survives.

It also clears up: a job that is killed or aborted leaves its MPI library's shared memory behind, some megabytes each time, which
nobody would ever free.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

from minipar.comm.board import Board, life_of
from minipar.comm.rollcall import roll_call

INTERVAL = 0.02             # seconds between looks where the system cannot wake the watcher
MPI_MEMORY = ("/dev/shm/mpich_shm_", "/dev/shm/sm_segment.")        # what MPICH and Open MPI call it


def watch(board: Board, alarm: Alarm) -> str:
    """Returns the roll call once a rank of this node has left without a word; "" once all have ended in some other way."""
    while alarm.ended != set(board.slots):
        for rank in alarm.wait():
            if board.read(rank).state.doing == "gone":
                return tell(board, rank) if board.claim() else ""
    return ""


def tell(board: Board, lost: int) -> str:
    """The roll call at the moment when rank `lost` ended, even if the launcher has killed the others since."""
    states = [board.read(rank).state for rank in range(board.size)]
    for rank in board.slots:
        if rank != lost and (notice := board.last(rank)):
            states[rank] = notice.state
    return f"rank {lost} left without a word (killed, out of memory, or os._exit): {roll_call(states)}"


class Alarm:
    """Wakes its owner when processes end, and tells which, in the order in which they ended.

    Linux wakes us (pidfd_open(2), Linux 5.3; epoll(7) keeps the order, however late we are); elsewhere we look now and then.
    """

    def __init__(self, pids: dict[int, int]) -> None:
        self.pids, self.ended = pids, set[int]()
        self.files: dict[int, int] = {}                             # file descriptor -> rank
        try:
            self.queue = select.epoll()
            for rank, pid in pids.items():
                self.files[os.pidfd_open(pid)] = rank
            for file in self.files:
                self.queue.register(file, select.EPOLLIN)
        except (AttributeError, OSError):                           # an older or another system, or one of them has ended already
            self.files = {}

    def wait(self) -> list[int]:
        """The ranks that have ended since."""
        if self.files:
            events = self.queue.poll()
            for file, _ in events:
                self.queue.unregister(file)
            found = [self.files[file] for file, _ in events]
        else:
            time.sleep(INTERVAL)
            found = [rank for rank, pid in self.pids.items() if rank not in self.ended and life_of(pid) == "gone"]
        self.ended.update(found)
        return found


def memory_of_mpi(pids: Iterable[int]) -> set[str]:
    """The files in /dev/shm that the MPI library made for these processes, from their memory maps (proc(5))."""
    found: set[str] = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                found.update(path for line in maps if (path := line.split()[-1]).startswith(MPI_MEMORY))
        except OSError:                                             # it has ended already
            continue
    return found


def main(file: int, size: int, *ranks: int) -> None:
    board = Board(file, size, {rank: slot for slot, rank in enumerate(ranks)})
    pids = {rank: board.process(rank)[0] for rank in ranks}
    alarm, memory = Alarm(pids), memory_of_mpi(pids.values())
    os.write(1, b"!")                                               # nothing can be missed any more: let the job begin
    if story := watch(board, alarm):
        print(f"CommError: {story}", file=sys.stderr, flush=True)
    while alarm.ended != set(ranks):
        alarm.wait()
    for path in memory:
        with suppress(FileNotFoundError):
            os.unlink(path)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
