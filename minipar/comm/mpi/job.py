"""Runs a job under mpirun, from its start to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from minipar.comm.diagnostics.escapes import guard_exit, report_escapes
from minipar.comm.diagnostics.exit_report import raise_loose_ends
from minipar.comm.diagnostics.ledger import Ledger
from minipar.comm.mpi.engine import MpiComm
from minipar.comm.mpi.headed import Headed
from minipar.comm.mpi.job_end import end_job
from minipar.comm.protocol import FINISH_TAG, Communicator, exchange_texts


@contextmanager
def mpi_job(engine: MpiComm, *, checked: bool) -> Iterator[Communicator]:
    """The context of a job on the ranks of `engine`. engine: the result of `world` (world.py). See
    `minipar.comm.job.job`.
    """
    ledger = Ledger(engine.rank)
    leaving = None
    report_escapes(partial(end_job, engine))                        # this hook stays until the process ends
    engine.lookout.caught.end_job = partial(end_job, engine)
    undo = guard_exit(partial(end_job, engine))
    try:
        try:
            yield Headed(engine, ledger) if checked else engine
        except SystemExit as early:
            if early.code:
                raise
            leaving = early                                         # sys.exit(0) is a normal end
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
    """Exchange the ledgers of all ranks at the end of the job. Raises CommError on every rank if a message
    was not received or a request was not waited for.
    """
    pages = exchange_texts(engine, json.dumps(ledger.close()), label="end of the job", tag=FINISH_TAG)
    raise_loose_ends([json.loads(page) for page in pages])
