"""Makes one rank of a program. It makes the rank's communicators, with the wrappers that the options need."""

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
    """The records of a rank at the end of the run. seconds: virtual time; None without a clock."""

    traffic: Traffic = field(default_factory=Traffic)
    events: list[Event] = field(default_factory=list)
    seconds: float | None = None


@contextmanager
def rank_of_program(comm: Communicator, options: RunOptions, books: Books) -> Iterator[Rank]:
    """A context in which this thread is a rank of a program. comm: the communicator of the job."""
    if isinstance(comm, Checking):
        comm.compares = False  # the collectives of this package already compare the calls of all ranks
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
        single = comm.subgroup([comm.rank])
        assert single is not None
        rank.own = Intracomm.of(rank, single, name="MPI_COMM_SELF", predefined=True)
        yield rank
        if clock is not None:
            books.seconds = float(clock.now)
