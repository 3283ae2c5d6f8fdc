"""Chooses the engine of a program. A program, and every minipar command, has this form:

    with job() as comm:
        train(comm)

Under mpirun, `comm` contains all ranks that mpirun started. Without mpirun, `comm` has one rank. If a rank
raises, the whole job ends within seconds with a non-zero exit status. The traceback of that rank is printed
once. For a MiniparError, only one line is printed. In a deadlock, this line gives the state of every rank.

The ranks of a node wait for each other before MPI starts (deadlock/meeting.py). If a rank ends before the
`with` block, or does not reach it within the time limit, the error names this rank.

Launchers pass their data in environment variables. The variable MINIPAR_TIMEOUT sets the time limit of a
program. Only this file and the command line read the environment.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType

from minipar.comm.deadlock.meeting import meet
from minipar.comm.deadlock.start_guard import START, limited_start
from minipar.comm.diagnostics.escapes import raising_escapes
from minipar.comm.diagnostics.exit_report import exit_status, last_words, raise_loose_ends
from minipar.comm.diagnostics.last_line import tell
from minipar.comm.early_end import ending_early
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.wrappers.checking import Checking
from minipar.console import open_standard_files
from minipar.errors import CommError, MiniparError

TIMEOUT = 30.0
FILES = 64                          # number of open files that a rank needs on a small machine
# Environment variables with the number of ranks. Hydra (MPICH, Intel MPI) and Slurm's PMI set the first one,
# Open MPI's mpirun sets the second one.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")


def ranks_started(environ: Mapping[str, str]) -> int | None:
    """Returns the number of ranks that the launcher has started; None without a launcher."""
    named = (environ.get(name, "") for name in SIZES)
    return next((int(text) for text in named if re.fullmatch("[1-9][0-9]{0,8}", text, re.ASCII)), None)


def warn_of_slurm(environ: Mapping[str, str]) -> None:
    """Warn if Slurm has started several processes without an MPI launcher. Each process would run as a job of
    one rank.
    """
    tasks = environ.get("SLURM_NTASKS", "")
    several = re.fullmatch("[1-9][0-9]{0,8}", tasks, re.ASCII) and int(tasks) > 1
    if several and ranks_started(environ) is None and environ.get("SLURM_PROCID", "0") == "0":
        tell(f"minipar: SLURM_NTASKS is {tasks}, but no MPI launcher started this process: it runs as one "
             "rank; to use all tasks, start it with mpirun, or with srun --mpi=pmi2")


def timeout_from(environ: Mapping[str, str]) -> float:
    """Returns MINIPAR_TIMEOUT in seconds (default 30). Raises CommError unless it is a positive number or
    "inf".
    """
    text = environ.get("MINIPAR_TIMEOUT", str(TIMEOUT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise CommError(f"MINIPAR_TIMEOUT is '{text}'; give the longest wait in seconds, as in "
                        "MINIPAR_TIMEOUT=60, or inf")
    return seconds


@contextmanager
def job(*, timeout: float | None = None, checked: bool = True,
        synchronous: bool = False) -> Iterator[Communicator]:
    """A context that gives the communicator of this program's ranks. An error in the block ends the program.

    timeout: the longest time in seconds that a rank may wait (default: MINIPAR_TIMEOUT, or 30). checked:
    compare collectives before data moves, find deadlocks, and at the end report messages and requests that
    are not complete. Switch `checked` off only for measurements. synchronous: a send completes only after its
    receive has begun.

    >>> import minipar as mp
    >>> with mp.job() as comm:                                  # without mpirun: one process
    ...     print(comm.rank, comm.size)
    0 1
    """
    open_standard_files()
    started = ranks_started(os.environ)
    if started is not None:
        with ending_early(started):
            refuse_few_files()
            limit = timeout or timeout_from(os.environ)
            longest = max(START, limit)
            with limited_start(meet(os.environ, longest), longest):
                mpi = import_mpi(started)
                engine = mpi.world(timeout=limit, checked=checked, synchronous=synchronous)
        with mpi.mpi_job(engine, checked=checked) as comm:
            yield comm
        return
    warn_of_slurm(os.environ)
    with told_in_one_line(), raising_escapes():
        single_process = Checking(solo(synchronous=synchronous, checked=checked))
        yield single_process if checked else single_process.inner
        raise_loose_ends([single_process.ledger.close()])


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """A context in which a MiniparError (a mistake of the user) ends the program with one line and exit
    status 2. Every other error is a bug and keeps its traceback.
    """
    try:
        yield
    except MiniparError as error:
        text, status = last_words(error, 0, 1)
        tell(text)
        raise SystemExit(status) from None
    except SystemExit as leaving:
        if isinstance(leaving.code, int):
            leaving.code = exit_status(leaving.code)
        raise


def refuse_few_files() -> None:
    """Raises CommError if this process may open too few files. MPI would crash without this check."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < FILES:
        raise CommError(f"this process may open {allowed} files, and MPI needs {FILES}; allow more: "
                        "ulimit -n 1024")


@contextmanager
def hang_up_kept() -> Iterator[None]:
    """A context that restores the handler of SIGHUP at its end. When MPI starts, UCX, a library of MPICH,
    takes this signal for debugging. Then a closed terminal would not end the rank.
    """
    handler = signal.getsignal(signal.SIGHUP)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, handler)


def import_mpi(started: int) -> ModuleType:
    """Import the engine over MPI. The import calls MPI_Init, which waits for all ranks.

    Raises CommError if mpi4py is missing or uses another MPI than the launcher.
    """
    try:
        with hang_up_kept(), warnings.catch_warnings():  # the error below replaces mpi4py's warning
            warnings.simplefilter("ignore", RuntimeWarning)
            from minipar.comm import mpi
    except (ImportError, RuntimeError) as error:  # mpi4py raises RuntimeError if it finds no MPI library
        remedy = f"{sys.executable} -m pip install mpi4py mpich"
        raise CommError(f"started by mpirun, but mpi4py cannot be used ({error}); {remedy}") from error
    if mpi.MPI.COMM_WORLD.size != started:
        raise CommError(f"the launcher started {started} ranks, but MPI sees {mpi.MPI.COMM_WORLD.size}: "
                        "mpirun and mpi4py belong to "
                        f"different MPIs ({mpi.MPI.Get_library_version().splitlines()[0].strip()}); `minipar "
                        "doctor` says what to do")
    return mpi
