"""Runs a program with threads as ranks, for `mp.run_program(4, "program.py")` and the notebook's `%%ranks 4`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minipar.comm.diagnostics.exit_report import first_diagnosis, last_words
from minipar.comm.wrappers.counting import Traffic
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event
from minipar.mpi4py_face.on_threads import Ended, run_on_threads
from minipar.mpi4py_face.options import RunOptions
from minipar.mpi4py_face.program import UserProgram, compiled, read_program


@dataclass
class ProgramRun:
    """The results of a run. globals: the variables of each rank. lines: (rank, line) of stdout, in order.
    traffic: the messages and bytes of each line of the program (with count=True). events: the events for
    `write_trace` (with trace=True). seconds: the virtual time of the slowest rank (with clock=...).
    """

    globals: list[dict[str, Any]]
    lines: list[tuple[int, str]] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    events: list[Event] = field(default_factory=list)
    seconds: float | None = None

    def output(self, rank: int | None = None) -> list[str]:
        """Returns the lines that one rank wrote to stdout. Without `rank`, returns the lines of all ranks."""
        return [line for who, line in self.lines if rank in (None, who)]


def run_program(size: int, program: str | Path, *arguments: object, checked: bool = True,
                synchronous: bool = False, timeout: float | None = None, label: bool = False,
                count: bool = False, trace: bool = False, clock: Network | None = None,
                any_source: str | None = None, quiet: bool = False) -> ProgramRun:
    """Run a program for mpi4py on `size` ranks. The ranks are threads of this process.

    arguments: the arguments in the program's sys.argv. quiet: do not show the program's output. The other
    options are the same as in `minipar run`. Raises the exception of the first rank that failed, with a note
    that names the rank. Raises CommError for a deadlock, for ranks that do not agree, and for messages that
    are never received. Raises ConfigError for a program that is missing or is not Python.

    >>> import tempfile, minipar as mp
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program = Path(folder, "three.py")
    ...     _ = program.write_text("from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))")
    ...     run = mp.run_program(3, program)
    3
    3
    3
    """
    options = RunOptions(checked=checked, synchronous=synchronous, timeout=timeout, label=label, count=count,
                         trace=trace, clock=clock, any_source=any_source, quiet=quiet)
    return run_with(read_program(program, tuple(map(str, arguments))), size, options)


def run_with(program: UserProgram, size: int, options: RunOptions) -> ProgramRun:
    """Run a program that `read_program` has read. It has the same result and errors as `run_program`."""
    lines: list[tuple[int, str]] = []
    ended = run_on_threads(program, size, options,
                           lambda rank, said: lines.extend((rank, line) for line in said))
    if ended.failure is not None:
        raise first_diagnosis(ended.failure[1])
    return summary(ended, lines)


def summary(ended: Ended, lines: list[tuple[int, str]]) -> ProgramRun:
    seconds = [books.seconds for books in ended.books if books.seconds is not None]
    traffic = Traffic([entry for books in ended.books for entry in books.traffic])
    events = [event for books in ended.books for event in books.events]
    return ProgramRun(ended.globals, lines, traffic, events, max(seconds, default=None))


def run_cell(size: int, source: str, options: RunOptions) -> tuple[ProgramRun | None, str]:
    """Run the text of a notebook's cell. Returns (the results, the text of the error or "")."""
    lines: list[tuple[int, str]] = []
    ended = run_on_threads(compiled(source, "<cell>", "."), size, options,
                           lambda rank, said: lines.extend((rank, line) for line in said))
    if ended.failure is None:
        return summary(ended, lines), ""
    rank, error = ended.failure
    return None, last_words(first_diagnosis(error), max(rank, 0), size)[0]
