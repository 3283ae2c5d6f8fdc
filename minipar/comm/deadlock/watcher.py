"""A small process beside each node's ranks that outlives them: `python -m minipar.comm.deadlock.watcher FILE
SIZE RANK...`.

When a rank is killed, the launcher kills the others a moment later, so no rank is left to say what happened.
The watcher sleeps until one of their processes ends, and then tells what each rank was doing. It is in a
session of its own, so it survives.

It also clears up: a job that is killed or aborted leaves its MPI library's shared memory behind, some
megabytes each time, which nobody would ever free.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress

from minipar.comm.deadlock.board import Board, Process, life_of
from minipar.comm.deadlock.exit_pipe import watch_lifeline
from minipar.comm.deadlock.mpi_memory import free_memory, memory_of_mpi
from minipar.comm.deadlock.wait_graph import State, roll_call
from minipar.comm.diagnostics.exit_report import tell as say_so

PR_SET_PDEATHSIG = 1
LISTEN = 0.5                # seconds between looks for what a rank cannot tell itself
INTERVAL = 0.02             # seconds between looks where the system cannot wake the watcher


def watch(board: Board, alarm: Alarm) -> str:
    """Returns what is to be told once a rank of this node has left without a word, or could not speak; ""
    once all have ended in some other way.
    """
    between_jobs: list[int] = []                                    # ranks that have ended outside of a job
    while alarm.ended != set(board.slots):
        ended = alarm.wait()
        if board.claimed() and (text := unsaid(board)):
            return text
        for rank in ended:
            notice = board.last(rank)
            if notice is None or notice.state.doing not in ("finished", "failed", "outside"):
                return f"CommError: {tell(board, (between_jobs or [rank])[0])}" if board.claim() else ""
            if notice.state.doing == "outside":
                between_jobs.append(rank)
    return ""


def unsaid(board: Board) -> str:
    """The error of a rank that had neither stderr nor stdout to tell it."""
    states = [notice.state for rank in board.slots if (notice := board.last(rank))]
    return next((state.detail for state in states if state.doing == "failed" and state.detail), "")


def tell(board: Board, lost: int) -> str:
    """The roll call at the moment when rank `lost` ended, even if the launcher has killed the others
    since.
    """
    states = [board.read(rank).state for rank in range(board.size)]
    for rank in board.slots:
        if rank != lost and (notice := board.last(rank)):
            states[rank] = notice.state
    states[lost] = State("gone")                                    # it may be about to end
    return f"rank {lost} left without a word (killed, out of memory, or os._exit): {roll_call(states)}"


class Alarm:
    """Wakes its owner when processes end, and tells which, in the order in which they began to.

    Linux wakes us (epoll(7) keeps the order, however late we are); elsewhere we look now and then.
    """

    def __init__(self, processes: dict[int, Process]) -> None:
        self.processes, self.ended = processes, set[int]()
        self.files: dict[int, int] = {}                             # file descriptor -> rank
        try:
            self.queue = select.epoll()
            for rank, process in processes.items():
                self.files[watch_lifeline(process.pid, process.lifeline)] = rank
            for file in self.files:
                self.queue.register(file, select.EPOLLHUP)
        except (AttributeError, OSError):  # another system, or one of them has ended already
            self.files = {}

    def wait(self) -> list[int]:
        """The ranks that have ended since; none, now and then."""
        if self.files:
            events = self.queue.poll(LISTEN)
            for file, _ in events:
                self.queue.unregister(file)
            found = [self.files[file] for file, _ in events]
        else:
            time.sleep(INTERVAL)
            found = [rank for rank, process in self.processes.items()
                     if rank not in self.ended and life_of(process.pid) == "gone"]
        self.ended.update(found)
        return found


def go_on_with_parent() -> None:
    """Let the system wake this process, should it be stopped, when the rank that started it ends (prctl(2)).

    Otherwise the launcher would wait for it for ever, since it holds the launcher's stderr.
    """
    with suppress(AttributeError, OSError):                         # another system
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def main(file: int, size: int, guarded: int, *ranks: int) -> None:
    """guarded: 1 if somebody else tells of ranks that ended before the watcher came (start_guard.py)."""
    go_on_with_parent()
    board = Board(file, size, {rank: slot for slot, rank in enumerate(ranks)})
    processes = {rank: board.process(rank) for rank in ranks}
    alarm, memory = Alarm(processes), memory_of_mpi(process.pid for process in processes.values())
    with suppress(OSError):  # the rank that started us may have been killed meanwhile
        os.write(1, b"!")  # nothing can be missed any more: let the job begin
        os.close(1)
    early = guarded and any(life_of(process.pid) == "gone" for process in processes.values())
    if not early and (story := watch(board, alarm)):
        say_so(story)
    while alarm.ended != set(ranks):
        alarm.wait()
    free_memory(memory)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
