"""Ends all ranks of a job under mpirun and reports the error once."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import NoReturn

from minipar.comm.deadlock.launcher_stderr import tell_of_signal
from minipar.comm.diagnostics.drain_stderr import until_read
from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.comm.diagnostics.last_line import silence_stderr, tell
from minipar.comm.mpi.engine import MPI, MpiComm

# OTHER_NODE: seconds that ranks of other nodes wait, so that node 0 reports first. OTHER_RANK: seconds that a
# rank waits while another rank of its node reports.
OTHER_NODE, OTHER_RANK = 0.3, 3.0
WATCHER = 1.5  # seconds to wait until the watcher has reported an error that this rank cannot print
FORWARD = 0.1  # seconds to wait until the launcher has forwarded the output


def end_job(engine: MpiComm, error: BaseException) -> NoReturn:
    """Report the error once for the whole job, then end all ranks. mpirun exits with the status of the error.
    """
    first = engine.lookout.claim()  # only the first rank that claims the report prints its error
    engine.lookout.leave("failed")
    text, status = last_words(first_diagnosis(error), engine.rank, engine.size)
    if engine.nodes[engine.rank] > 0:
        time.sleep(OTHER_NODE)
    with suppress(AttributeError, OSError, ValueError):             # stdout is closed, full or broken
        sys.stdout.flush()
    if first:
        say = tell_of_signal if isinstance(error, KeyboardInterrupt) else tell
        if not say(text):
            engine.lookout.leave("failed", unsaid=text)             # the watcher reports it
            time.sleep(WATCHER)
        until_read(sys.stdout)
        time.sleep(FORWARD)
    else:
        time.sleep(OTHER_RANK)
    silence_stderr()
    MPI.COMM_WORLD.Abort(status)
    raise SystemExit(status)
