"""Ends a job that fails at its start. One rank prints one line, then all ranks end."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from minipar.comm.deadlock.meeting import meeting_of, the_meeting
from minipar.comm.deadlock.start_guard import end_all
from minipar.comm.diagnostics.exit_report import last_words
from minipar.comm.diagnostics.last_line import silence_stderr, tell
from minipar.errors import CommError

OTHER_RANK = 3.0            # seconds in which another rank of this node can print its line


@contextmanager
def ending_early(started: int) -> Iterator[None]:
    """A context in which an error ends all `started` ranks of this job."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            end_early(error, started)
        end_early(CommError(f"the job needs more open files than the system allows ({error}); allow more: "
                            "ulimit -n 1024"), started)
    except BaseException as error:
        end_early(error, started)


def end_early(error: BaseException, started: int) -> NoReturn:
    meeting = the_meeting() or meeting_of(os.environ)               # the error may come before the meeting
    rank = 0 if meeting is None else meeting.offset + meeting.rank
    text, status = last_words(error, rank, started)
    if meeting is None or meeting.claim():
        tell(text)
    else:
        time.sleep(OTHER_RANK)
    if started > 1:
        library = sys.modules.get("mpi4py.MPI")
        if library is not None and library.Is_initialized() and library.COMM_WORLD.size > 1:
            silence_stderr()
            library.COMM_WORLD.Abort(status)
        if "PMI_FD" in os.environ:                                  # MPICH's launcher ignores the exit status
            end_all(status)
            os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(status) from None
