"""Finds the calling rank. If ranks are threads of one process, the calling thread determines the rank.

Under mpirun, a process is one rank, and all threads of the process belong to this rank. In both cases, only
the thread in which the rank began may call MPI.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from minipar.comm.diagnostics.call_site import caller
from minipar.comm.protocol import Communicator, Request
from minipar.errors import CommError


@dataclass
class Rank:
    """The state of one rank, such as its communicators and its settings."""

    comm: Communicator
    thread: int = field(default_factory=threading.get_ident)
    world: Any = None                                               # MPI.COMM_WORLD
    own: Any = None                                                 # MPI.COMM_SELF
    settings: dict[str, Any] = field(default_factory=dict)  # the program's changes of mpi4py.rc
    initialized: bool = False                                       # True after MPI.Init
    finalized: bool = False
    clock: Any = None  # virtual clock for MPI.Wtime, if there is one
    attached: int = 0                                               # size of the attached buffer in bytes
    attached_buffer: Any = None
    buffered: list[tuple[Communicator, Request]] = field(default_factory=list)  # buffered sends in flight
    operations: int = 0  # number of operations that Op.Create has made, minus those freed


RANKS: dict[int, Rank] = {}                                         # the rank for the id of a thread
REFUSED_HELPERS: list[CommError] = []           # errors of MPI calls in the program's own threads


def current() -> Rank:
    """Returns the calling rank. Raises CommError in a thread that belongs to no rank."""
    rank = RANKS.get(threading.get_ident())
    if rank is not None:
        return rank
    if len(RANKS) == 1:
        return next(iter(RANKS.values()))
    operation, location = caller()
    if RANKS:
        error = CommError(f"MPI is used at {location} by the thread of {threading.current_thread().name}, "
                          "which belongs to no rank; call MPI in the thread that runs the program, and pass "
                          "data to it with queue.Queue")
        REFUSED_HELPERS.append(error)
        raise error
    raise CommError(f"{operation} at {location} is called outside a job; start the program with minipar run")


def refuse_other_threads(rank: Rank) -> None:
    """Raises CommError if the calling thread is not the rank's own thread."""
    if rank.thread != threading.get_ident():
        operation, location = caller()
        error = CommError(f"rank {rank.comm.rank}: {operation} at {location} is called by the thread of "
                          f"{threading.current_thread().name}; call MPI in the thread that runs the program, "
                          "and pass data to it with queue.Queue")
        REFUSED_HELPERS.append(error)
        raise error


@contextmanager
def entered(rank: Rank) -> Iterator[Rank]:
    """A context in which this thread is the rank."""
    RANKS[rank.thread] = rank
    try:
        yield rank
    finally:
        del RANKS[rank.thread]
