"""One rank of a program: its communicators, the books that the options ask for, and the run itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.checking import Checking
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting, Traffic
from minipar.comm.wrappers.timeline import Event
from minipar.comm.wrappers.tracing import Tracing
from minipar.mpi4py_face.communicators import Intracomm
from minipar.mpi4py_face.current import Rank, entered
from minipar.mpi4py_face.options import RunOptions


@dataclass
class Books:
    """What a rank has noted by its end. seconds: of virtual time; None without a clock."""

    traffic: Traffic = field(default_factory=Traffic)
    events: list[Event] = field(default_factory=list)
    seconds: float | None = None


@contextmanager
def rank_of_program(comm: Communicator, options: RunOptions, books: Books) -> Iterator[Rank]:
    """In the `with` block this thread is a rank of a program. comm: as the job gave it."""
    if isinstance(comm, Checking):
        comm.compares = False  # each collective of the face does it, in steps
    clock = None
    if options.clock is not None:
        comm = clock = Clock(comm, options.clock)
    if options.trace:
        comm = Tracing(comm, events=books.events) if clock is None else Tracing(
            comm, now=lambda: clock.now, events=books.events)
    if options.count:
        comm = Counting(comm, books.traffic)
    rank = Rank(comm, clock=clock)
    with entered(rank):
        rank.world = Intracomm.of(rank, comm, name="MPI_COMM_WORLD", predefined=True)
        alone = comm.subgroup([comm.rank])
        assert alone is not None
        rank.alone = Intracomm.of(rank, alone, name="MPI_COMM_SELF", predefined=True)
        yield rank
        if clock is not None:
            books.seconds = float(clock.now)
