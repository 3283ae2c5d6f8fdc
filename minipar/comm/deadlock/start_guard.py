"""A limit on MPI's start, during which nothing in Python goes on in the ranks.

A child of one rank per node counts the seconds. If the start is not over in time, because a rank was stopped on
the way or another node does not answer, the child says so in one line and ends the job.
"""

from __future__ import annotations

import os
import select
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from minipar.comm.deadlock.meeting import LONGEST, Meeting
from minipar.comm.diagnostics.exit_report import tell

START = 20.0                        # seconds until a job must have begun, or its longest wait where that is longer
ANSWER = 2.0                        # seconds that the launcher gets to end the job


_started = False                    # whether MPI has started in this process


@contextmanager
def limited_start(meeting: Meeting | None, limit: float) -> Iterator[None]:
    """End the job if the block, in which MPI starts, is not done after `limit` seconds."""
    global _started
    if _started or meeting is not None and (meeting.rank > 0 or meeting.ranks == 1):
        yield
        return
    reading, writing = os.pipe()
    with warnings.catch_warnings():         # Python 3.12 warns of threads that are not there in the child
        warnings.simplefilter("ignore", DeprecationWarning)
        guard = os.fork()
    if guard == 0:
        try:
            os.close(writing)
            guard_start(reading, meeting, limit)
        finally:
            os._exit(0)
    os.close(reading)
    try:
        yield
        _started = True
    finally:
        os.close(writing)
        with suppress(ChildProcessError):
            os.waitpid(guard, 0)


def guard_start(reading: int, meeting: Meeting | None, limit: float) -> None:
    """In the child: until the pipe breaks, since the start is over or its rank has ended."""
    waited, now = 0.0, time.monotonic()
    while waited <= limit:
        if select.select([reading], [], [], LONGEST / 2)[0]:
            return
        before, now = now, time.monotonic()
        waited += min(now - before, LONGEST)
    if meeting is None or meeting.claim():
        everyone = f": {meeting.roll_call()}" if meeting else ""
        tell(f"CommError: the job did not start within {limit:g} s{everyone}")
        end_all(2)
        os.kill(os.getppid(), signal.SIGKILL)


def end_all(status: int) -> None:
    """Ask the launcher to end all ranks before MPI has started, as MPI_Abort would; return if it does not.

    This is a line of MPICH's protocol between ranks and launcher (PMI-1: simple_pmi). Open MPI's launcher ends the
    job as soon as one rank ends with another status than 0.
    """
    if file := os.environ.get("PMI_FD"):
        with suppress(OSError, ValueError):
            os.write(int(file), f"cmd=abort exitcode={status}\n".encode())
            time.sleep(ANSWER)
