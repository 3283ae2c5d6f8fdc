"""Guards the start of a job. During the start, all ranks wait inside MPI, and no Python code runs in them.

On each node, one rank starts a child process. The child guards the start from the end of the meeting
(meeting.py) until the watcher runs (watcher.py). If a rank is killed in this time, the child reports the rank
and removes the MPI library's shared memory. The start may take too long, because a rank is stopped or another
node does not answer. Then the child reports the time-out and ends the job.
"""

from __future__ import annotations

import os
import select
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from minipar.comm.deadlock.meeting import Meeting, is_ending
from minipar.comm.deadlock.mpi_memory import free_memory, memory_of_mpi, orphaned_memory
from minipar.comm.diagnostics.last_line import tell

START = 20.0  # limit of a job's start, in seconds; the job's timeout replaces it if that is longer
ANSWER = 2.0                        # seconds in which the launcher can end the job
# INTERVAL: seconds between two checks. The time between two checks counts as at most LONGEST seconds, since
# the process may have been stopped.
INTERVAL, LONGEST = 0.1, 0.5
OVER = b"!"

_started = False                    # whether MPI has started in this process
# the child process, and the pipe on which this rank reports the end of the start
_guard: tuple[int, int] | None = None


@contextmanager
def limited_start(meeting: Meeting | None, limit: float) -> Iterator[None]:
    """A context in which MPI starts. If the block lasts longer than `limit` seconds, or a rank is killed, the
    job ends.
    """
    global _guard, _started
    if not _started and (meeting is None or meeting.rank == 0 and meeting.ranks > 1):
        reading, writing = os.pipe()
        rank = os.getpid()
        with warnings.catch_warnings():     # Python 3.12 warns that the child has no threads
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.close(writing)
                os.setsid()  # leave the rank's process group, since the launcher kills the whole group
                guard_start(reading, meeting, limit, rank)
            finally:
                os._exit(0)
        os.close(reading)
        _guard = child, writing
    try:
        yield
        _started = True
    finally:
        start_is_over()


def start_is_over() -> None:
    """End the guard, since the watcher now watches the ranks."""
    global _guard
    if _guard is not None:
        child, writing = _guard
        _guard = None
        with suppress(OSError):                                     # the child may have ended already
            os.write(writing, OVER)
        os.close(writing)
        deadline = time.monotonic() + LONGEST  # a child that must still report runs longer
        with suppress(ChildProcessError):
            while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
                time.sleep(1e-3)


def guard_start(reading: int, meeting: Meeting | None, limit: float, rank: int) -> None:
    """Run the child's program. It ends when the start is over or a rank of this node has ended.

    rank: the id of the process that started the child. After a time-out, the child kills its parent, but only
    if the parent is still this process.
    """
    ranks = {} if meeting is None else {ending_of(pid): rank for rank, pid in meeting.present.items()}
    memory: set[str] = set()
    waited, now, began = 0.0, time.monotonic(), time.time()
    queue = select.epoll()  # epoll keeps the order in which the kernel reports that processes have ended
    for file in (reading, *(file for file in ranks if file >= 0)):
        queue.register(file, select.EPOLLIN)
    while waited <= limit:
        events = [file for file, _ in queue.poll(INTERVAL)]
        if reading in events and os.read(reading, 1) == OVER:
            return
        if meeting is not None:
            # before anything else, since the launcher ends the other ranks as soon as one has ended
            lost = with_others(meeting, [ranks[file] for file in events if file in ranks])
            memory |= memory_of_mpi(meeting.present.values())
            if lost:
                return tell_of_end(meeting, lost, memory, began)
        elif events:
            return
        before, now = now, time.monotonic()
        waited += min(now - before, LONGEST)
    if meeting is None or meeting.claim():
        everyone = f": {meeting.roll_call()}" if meeting else ""
        tell(f"CommError: the job did not start within {limit:g} s{everyone}")
        end_all(2)
        if os.getppid() == rank:
            os.kill(rank, signal.SIGKILL)


def ending_of(pid: int) -> int:
    """Returns a file descriptor that becomes readable when process pid ends; -1 if there is no such process.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def with_others(meeting: Meeting, lost: list[int]) -> list[int]:
    """Returns the ranks in `lost`, then all others that are ending now. The launcher ends all ranks after the
    first one. The order in which the kernel reports their ends may differ, so the report names them all.
    """
    others = {rank: pid for rank, pid in meeting.present.items() if rank not in lost}
    return lost and lost + [rank for rank, pid in others.items() if is_ending(pid)]


def tell_of_end(meeting: Meeting, lost: list[int], memory: set[str], began: float) -> None:
    """Report that ranks have ended during the start, unless another process has reported it. Wait until all
    ranks have ended, then remove the MPI library's shared memory. began: the time at which the guard started.
    """
    if meeting.claim():
        tell(f"CommError: {meeting.names(lost)} ended without an error message in the start of the job "
             "(killed, out of memory, or os._exit; the launcher ends all ranks after the first one): "
             f"{meeting.roll_call()}")
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and not meeting.all_gone():
        time.sleep(INTERVAL)
    free_memory(memory | orphaned_memory(began))


def end_all(status: int) -> None:
    """Ask the launcher to end all ranks. This works before MPI has started, when MPI_Abort cannot be called
    yet. The function returns if the launcher does not end the ranks.

    The request is a line of MPICH's protocol between ranks and launcher (PMI-1: simple_pmi). Open MPI's
    launcher needs no request: it ends the job as soon as one rank ends with a status other than 0.
    """
    if file := os.environ.get("PMI_FD"):
        with suppress(OSError, ValueError):
            os.write(int(file), f"cmd=abort exitcode={status}\n".encode())
            time.sleep(ANSWER)
