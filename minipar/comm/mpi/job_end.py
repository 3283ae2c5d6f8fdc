"""The end of a job under mpirun: an orderly one, or one error told once that ends all ranks."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NoReturn

from minipar.comm.diagnostics.drain_stderr import until_read
from minipar.comm.diagnostics.escapes import guard_exit, report_escapes
from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words, raise_loose_ends, tell
from minipar.comm.diagnostics.ledger import Ledger
from minipar.comm.mpi.engine import MPI, MpiComm
from minipar.comm.mpi.world import world
from minipar.comm.protocol import FINISH_TAG, Communicator, exchange_texts
from minipar.comm.wrappers.checking import Checking

# seconds to leave the word to the first node, and to the rank that speaks for its node
OTHER_NODE, OTHER_RANK = 0.3, 3.0
FORWARD = 0.1  # seconds for the launcher to forward what it has read, before it ends the job


@contextmanager
def mpi_job(*, timeout: float, checked: bool, synchronous: bool) -> Iterator[Communicator]:
    """The ranks that mpirun started; see `minipar.comm.job.job`."""
    engine = world(timeout=timeout, board=checked, synchronous=synchronous)
    ledger = Ledger(engine.rank)
    leaving = None
    report_escapes(partial(end_job, engine))                        # for as long as the process lives
    undo = guard_exit(partial(end_job, engine))
    try:
        try:
            yield Checking(engine, ledger) if checked else engine
        except SystemExit as early:
            if early.code:
                raise
            leaving = early                                         # sys.exit(0) is an end like any other
        if checked:
            engine.lookout.leave("finished")
            compare_ledgers(engine, ledger)
            engine.lookout.close()
        undo()
    except BaseException as error:
        end_job(engine, error)
    if leaving is not None:
        raise leaving


def compare_ledgers(engine: MpiComm, ledger: Ledger) -> None:
    """Every rank has come to its end and says what it leaves behind. Raises CommError on every rank if there
    is anything.
    """
    pages = exchange_texts(engine, json.dumps(ledger.close()), label="end of the job", tag=FINISH_TAG)
    raise_loose_ends([json.loads(page) for page in pages])


def end_job(engine: MpiComm, error: BaseException) -> NoReturn:
    """Tell the error once for the whole job, then end all ranks; mpirun exits with the error's status."""
    first = engine.lookout.claim()  # before the others learn of it and have errors of their own
    engine.lookout.leave("failed")
    text, status = last_words(first_diagnosis(error), engine.rank, engine.size)
    if engine.nodes[engine.rank] > 0:
        time.sleep(OTHER_NODE)
    with suppress(AttributeError, OSError, ValueError):             # closed, full, broken
        sys.stdout.flush()
    if first:
        tell(text)
        until_read(sys.stdout)
        time.sleep(FORWARD)
    else:
        time.sleep(OTHER_RANK)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the library would add a line of its own, which says less
    MPI.COMM_WORLD.Abort(status)
    raise SystemExit(status)
