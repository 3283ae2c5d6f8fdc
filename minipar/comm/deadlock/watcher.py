"""The watcher is a small process on each node that reports a killed rank. It ends after the ranks of the
node. Its command is `python -m minipar.comm.deadlock.watcher FILE SIZE MEETING RANK...`.

When a rank is killed, the launcher kills the other ranks a moment later. So no rank can report what happened.
The watcher sleeps until the process of a rank ends. Then it reports the state of each rank. The watcher has
its own session, so the launcher does not kill it.

The watcher also removes the MPI library's shared memory. A killed or aborted job leaves some megabytes
behind.
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
from minipar.comm.deadlock.launcher_stderr import LauncherStderr, launcher_stderr
from minipar.comm.deadlock.meeting import claim_for
from minipar.comm.deadlock.mpi_memory import free_memory, memory_of_mpi, orphaned_memory
from minipar.comm.deadlock.wait_graph import State, roll_call
from minipar.comm.diagnostics.last_line import tell as say_so

PR_SET_PDEATHSIG = 1
LISTEN = 0.5                # seconds between looks for errors that ranks could not print
INTERVAL = 0.02             # seconds between looks if the system cannot wake the watcher


def watch(board: Board, alarm: Alarm) -> str:
    """Wait until a rank of this node ends without an error message, and return the report. Returns "" if no
    rank ends in this way.
    """
    between_jobs: list[int] = []                                    # ranks that have ended outside a job
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
    """Returns the error of a rank that could write neither to stderr nor to stdout; "" if there is none."""
    states = [notice.state for rank in board.slots if (notice := board.last(rank))]
    return next((state.detail for state in states if state.doing == "failed" and state.detail), "")


def tell(board: Board, lost: int) -> str:
    """Returns a report about the end of rank `lost`. It describes the other ranks as they were then, even if
    the launcher has killed them since.
    """
    states = [board.read(rank).state for rank in range(board.size)]
    for rank in board.slots:
        if rank != lost and (notice := board.last(rank)):
            states[rank] = notice.state
    states[lost] = State("gone")                                    # its process may still be ending
    return f"rank {lost} ended without an error message (killed, out of memory, or os._exit): " \
           f"{roll_call(states)}"


class Alarm:
    """Waits for processes to end, and returns them in the order in which they began to end.

    On Linux it uses epoll(7). epoll keeps the order of events until they are read. On other systems it checks
    the processes every INTERVAL seconds.
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
        except (AttributeError, OSError):  # the system is not Linux, or a process has already ended
            self.files = {}

    def wait(self) -> list[int]:
        """Returns the ranks that have ended since the last call; [] after a timeout."""
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
    """Ask the system to continue this process when the rank that started it ends (prctl(2)).

    This process holds the launcher's stderr open. If it stayed stopped, the launcher would wait for ever.
    """
    with suppress(AttributeError, OSError):                         # the system is not Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def report(story: str, launcher: LauncherStderr | None) -> None:
    """Write the report. If the launcher has ended, or is Open MPI's, it does not forward the report, so the
    report goes to the launcher's own stderr.
    """
    if launcher is not None and launcher.has_ended():
        story = f"{story}; the launcher, process {launcher.pid}, has ended, which ends all its ranks"
    elif launcher is None or not launcher.is_parent:
        launcher = None
    if launcher is None or not launcher.write(story):
        say_so(story)


def main(file: int, size: int, meeting: str, *ranks: int) -> None:
    """Run the watcher's program. meeting: the name of the meeting of the ranks without its first character,
    which is NUL; "" if there was none. After a meeting, start_guard.py reports ranks that end before the
    watcher starts.
    """
    go_on_with_parent()
    board = Board(file, size, {rank: slot for slot, rank in enumerate(ranks)})
    processes = {rank: board.process(rank) for rank in ranks}
    alarm, memory = Alarm(processes), memory_of_mpi(process.pid for process in processes.values())
    launcher, began = launcher_stderr(os.getppid()), time.time()
    with suppress(OSError):  # the rank that started the watcher may be dead
        os.write(1, b"!")  # from now on, every end of a rank is seen, so the job may begin
        os.close(1)
    early = meeting and any(life_of(process.pid) == "gone" for process in processes.values())
    story = "" if early else watch(board, alarm)
    claim = claim_for(f"\0{meeting}") if story and meeting else None
    if story and (claim or not meeting):
        report(story, launcher)
    while alarm.ended != set(ranks):
        alarm.wait()
    free_memory(memory | (orphaned_memory(began) if story else set()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
