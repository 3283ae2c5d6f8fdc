"""`minipar run`: run a program written for mpi4py, checked, on ranks that are threads or under mpirun."""

from __future__ import annotations

import argparse
import os

from minipar.cli.ranks import require_one_process, seconds
from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.comm.job import job, ranks_started, timeout_from
from minipar.console import tell
from minipar.errors import ConfigError
from minipar.mpi4py_face.as_process import run_as_process
from minipar.mpi4py_face.on_threads import Ended, run_on_threads
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import read_program


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", type=int, dest="ranks", metavar="RANKS",
                        help="ranks, as threads of this process (default 1; under mpirun: leave it out)")
    parser.add_argument("--unchecked", action="store_true", help="compare nothing, keep no books: to measure")
    parser.add_argument("--synchronous", action="store_true",
                        help="a send waits for its receive, as a large one does: what works small and hangs "
                             "large")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS",
                        help="longest wait for another rank (default 30, or MINIPAR_TIMEOUT)")
    parser.add_argument("--label", action="store_true", help='put "[rank] " before each line of output')
    parser.add_argument("program", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS",
                        help="what the program finds in sys.argv")
    parser.set_defaults(run=run, joins_itself=True)


def run(options: argparse.Namespace) -> int:
    """The exit status is the program's."""
    asked = RunOptions(checked=not options.unchecked, synchronous=options.synchronous,
                       timeout=options.timeout or timeout_from(os.environ), label=options.label)
    started = ranks_started(os.environ)
    if started is not None and options.ranks is None:
        with job(timeout=asked.timeout, checked=asked.checked, synchronous=asked.synchronous) as comm:
            run_as_process(read_program(options.program, tuple(options.arguments)), comm, asked)
        return 0
    if options.ranks is not None:
        require_one_process("minipar run -n")
        if options.ranks < 1:
            raise ConfigError(f"cannot run {options.ranks} ranks; give 1 or more")
    size = options.ranks or 1
    return status_of(run_on_threads(read_program(options.program, tuple(options.arguments)), size, asked),
                     size)


def status_of(ended: Ended, size: int) -> int:
    """The exit status of a run on threads, once its failure has been told."""
    if ended.failure is None:
        return 0
    rank, error = ended.failure
    text, status = last_words(first_diagnosis(error), max(rank, 0), size)
    tell(text)
    return status
