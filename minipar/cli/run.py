"""`minipar run`: run a program for mpi4py with minipar's checks, on threads or under mpirun.

    minipar run -n 4 program.py
    minipar run -n 4 --races 20 program.py
    mpirun -n 4 minipar run program.py
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from minipar.cli.pictures import attempt
from minipar.cli.ranks import require_one_process, seconds
from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.comm.job import job, ranks_started, timeout_from
from minipar.comm.protocol import Communicator, exchange_texts
from minipar.comm.threads.arrival_order import ArrivalOrder
from minipar.comm.threads.limits import MOST
from minipar.comm.wrappers.counting import Key, MessageTally, Traffic
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event, gather_events, write_trace
from minipar.console import tell
from minipar.errors import ConfigError, shown
from minipar.mpi4py_face.as_process import run_as_process
from minipar.mpi4py_face.on_threads import Ended, run_on_threads
from minipar.mpi4py_face.one_rank import Books
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import read_program
from minipar.mpi4py_face.races import races


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-n", type=int, dest="ranks", metavar="RANKS",
        help="number of ranks, as threads (default 1; not under mpirun)")
    add("--unchecked", action="store_true", help="run without checks, for measurements")
    add("--synchronous", action="store_true",
        help="every send waits for its receive; this finds programs that hang only with large messages")
    add("--timeout", type=seconds, metavar="SECONDS",
        help="longest wait for another rank (default: MINIPAR_TIMEOUT, or 30)")
    add("--label", action="store_true", help='put "[rank] " before each line of output')
    add("--count", action="store_true", help="at the end, show the messages and bytes of each line of the "
                                             "program")
    add("--trace", type=Path, metavar="FILE",
        help="write a timeline for ui.perfetto.dev, and a picture of the same name (.png)")
    add("--clock", type=network, metavar="alpha=S,beta=S",
        help="use virtual time, which MPI.Wtime returns: a message of n bytes takes alpha + n beta seconds")
    add("--any-source", type=order, metavar="first|seed=N",
        help="order in which receives from any source take messages (only threads); the same order repeats a "
             "race")
    add("--races", type=int, metavar="N", help="run with N such orders, and show the first difference")
    add("program", help="a Python file")
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="the program's arguments (sys.argv)")
    parser.set_defaults(run=run, joins_itself=True)


def network(text: str) -> Network:
    """Parse a network such as "alpha=5e-6,beta=1e-10"."""
    try:
        values = dict(part.split("=") for part in text.split(","))
        return Network(alpha=float(values.pop("alpha")), beta=float(values.pop("beta", "0")),
                       **{name: float(value) for name, value in values.items()})
    except (ValueError, KeyError, TypeError):
        example = "alpha=5e-6,beta=1e-10"
        raise argparse.ArgumentTypeError(f"{text!r} is not a network; write for example {example}") from None
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def order(text: str) -> str:
    try:
        ArrivalOrder(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def run(options: argparse.Namespace) -> int:
    """Run the program; returns its exit status."""
    asked = RunOptions(checked=not options.unchecked, synchronous=options.synchronous,
                       timeout=options.timeout or timeout_from(os.environ), label=options.label,
                       count=options.count, trace=options.trace is not None, clock=options.clock,
                       any_source=options.any_source)
    if ranks_started(os.environ) is not None and options.ranks is None:
        return run_under_mpirun(options, asked)
    if options.ranks is not None:
        require_one_process("minipar run -n")
    size = 1 if options.ranks is None else options.ranks
    if size < 1:
        raise ConfigError(f"cannot run {size} ranks; give 1 or more")
    if size > MOST:
        raise ConfigError(f"cannot run {shown(size)} ranks as threads; at most {MOST:,}")
    program = read_program(options.program, tuple(options.arguments))
    if options.races is not None:
        if options.races < 2:
            raise ConfigError(f"--races {options.races} compares nothing; give 2 or more")
        differ, text = races(program, size, asked, options.races)
        print(text)
        return int(differ)
    ended = run_on_threads(program, size, asked)
    if ended.failure is None:
        report(options, [books.traffic for books in ended.books], [event for books in ended.books
                                                                   for event in books.events])
    return status_of(ended, size)


def run_under_mpirun(options: argparse.Namespace, asked: RunOptions) -> int:
    for given, name in ((options.any_source, "--any-source"), (options.races, "--races")):
        if given is not None:
            raise ConfigError(f"{name} works only with threads: minipar run -n 4 {name} ...")
    with job(timeout=asked.timeout, checked=asked.checked, synchronous=asked.synchronous) as comm:
        books = run_as_process(read_program(options.program, tuple(options.arguments)), comm, asked)
        if asked.count or asked.trace:
            collect(options, comm, books)
    return 0


def collect(options: argparse.Namespace, comm: Communicator, books: Books) -> None:
    """Gather the messages and events of all ranks on rank 0, which prints and writes them."""
    rows = json.dumps([[*key, tally.calls, tally.messages, tally.bytes] for key, tally in books.traffic])
    tag = comm.entering("traffic", None, None, label="traffic")
    pages = exchange_texts(comm, rows, label="traffic", tag=tag)
    events = gather_events(comm, books.events)
    if comm.rank == 0:
        report(options, [Traffic((Key(*row[:5]), MessageTally(*row[5:])) for row in json.loads(page))
                         for page in pages], events or [])


def report(options: argparse.Namespace, traffic: list[Traffic], events: list[Event]) -> None:
    """Print the table of --count, and write the files of --trace."""
    if options.count:
        print(sum(traffic, Traffic()).table())
    if options.trace is not None:
        write_trace(options.trace, events)
        picture = options.trace.with_suffix(".png")
        attempt(str(picture), lambda: draw(picture, events))


def draw(path: Path, events: list[Event]) -> None:
    from minipar.plots.messages import draw_messages
    from minipar.plots.save import save

    save(draw_messages(events), path)


def status_of(ended: Ended, size: int) -> int:
    """Report the error that ended a run on threads, if any; returns the exit status."""
    if ended.failure is None:
        return 0
    rank, error = ended.failure
    text, status = last_words(first_diagnosis(error), max(rank, 0), size)
    tell(text)
    return status
