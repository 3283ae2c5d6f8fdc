"""Watches the start of a job, during which nothing in Python goes on in the ranks: they wait inside MPI.

A child of one rank per node does it, from the meeting until the watcher is awake. If a rank is killed
meanwhile, the child says which, and removes the memory that the MPI library leaves behind. If the start is
not over in time, because a rank was stopped on the way or another node does not answer, it says so and ends
the job.
"""

from __future__ import annotations

import os
import select
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from minipar.comm.deadlock.meeting import Meeting
from minipar.comm.deadlock.mpi_memory import free_memory, memory_of_mpi
from minipar.comm.diagnostics.exit_report import tell

START = 20.0  # seconds until a job must have begun, or its longest wait where that is longer
ANSWER = 2.0                        # seconds that the launcher gets to end the job
INTERVAL, LONGEST = 0.1, 0.5        # seconds between two looks; what one counts at most
OVER = b"!"

_started = False                    # whether MPI has started in this process
_guard: tuple[int, int] | None = None       # the child, and the pipe that tells it that the start is over


@contextmanager
def limited_start(meeting: Meeting | None, limit: float) -> Iterator[None]:
    """End the job if the block, in which MPI starts, is not done after `limit` seconds, or a rank is killed.
    """
    global _guard, _started
    if not _started and (meeting is None or meeting.rank == 0 and meeting.ranks > 1):
        reading, writing = os.pipe()
        with warnings.catch_warnings():     # Python 3.12 warns of threads that are not there in the child
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                os.close(writing)
                os.setsid()                                         # the launcher ends a rank with its group
                guard_start(reading, meeting, limit)
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
    """From now on the watcher watches."""
    global _guard
    if _guard is not None:
        child, writing = _guard
        _guard = None
        with suppress(OSError):                                     # it may have ended
            os.write(writing, OVER)
        os.close(writing)
        deadline = time.monotonic() + LONGEST  # unless it has an end to tell of, and stays
        with suppress(ChildProcessError):
            while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
                time.sleep(1e-3)


def guard_start(reading: int, meeting: Meeting | None, limit: float) -> None:
    """In the child: until the start is over, or a rank of this node has ended."""
    ranks = {} if meeting is None else {ending_of(pid): rank for rank, pid in meeting.present.items()}
    memory: set[str] = set()
    waited, now = 0.0, time.monotonic()
    queue = select.epoll()                                          # it keeps the order in which they end
    for file in (reading, *(file for file in ranks if file >= 0)):
        queue.register(file, select.EPOLLIN)
    while waited <= limit:
        events = [file for file, _ in queue.poll(INTERVAL)]
        if reading in events and os.read(reading, 1) == OVER:
            return
        if meeting is not None:
            memory |= memory_of_mpi(meeting.present.values())
            if lost := [ranks[file] for file in events if file in ranks]:
                return tell_of_end(meeting, lost[0], memory)
        elif events:
            return
        before, now = now, time.monotonic()
        waited += min(now - before, LONGEST)
    if meeting is None or meeting.claim():
        everyone = f": {meeting.roll_call()}" if meeting else ""
        tell(f"CommError: the job did not start within {limit:g} s{everyone}")
        end_all(2)
        os.kill(os.getppid(), signal.SIGKILL)


def ending_of(pid: int) -> int:
    """A file that can be read once process pid has ended; -1 where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def tell_of_end(meeting: Meeting, lost: int, memory: set[str]) -> None:
    """A rank has ended in the start. Say so unless it was said; clear up once all have ended."""
    if meeting.claim():
        tell(f"CommError: {meeting.names([lost])} left without a word in the start of the job (killed, out "
             f"of memory, or os._exit): {meeting.roll_call()}")
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and not meeting.all_gone():
        time.sleep(INTERVAL)
    free_memory(memory)


def end_all(status: int) -> None:
    """Ask the launcher to end all ranks before MPI has started, as MPI_Abort would; return if it does not.

    This is a line of MPICH's protocol between ranks and launcher (PMI-1: simple_pmi). Open MPI's launcher
    ends the job as soon as one rank ends with another status than 0.
    """
    if file := os.environ.get("PMI_FD"):
        with suppress(OSError, ValueError):
            os.write(int(file), f"cmd=abort exitcode={status}\n".encode())
            time.sleep(ANSWER)
