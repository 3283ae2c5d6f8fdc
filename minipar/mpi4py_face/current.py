"""Which rank is calling? Ranks that are threads share this module, so the answer goes by the thread.

Under mpirun a process has one rank, and every thread of it is that rank's; only the thread that entered may
call MPI.
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
    """What belongs to one rank: its communicator, what the program sees of it, and how far MPI has come."""

    comm: Communicator
    thread: int = field(default_factory=threading.get_ident)
    world: Any = None                                               # MPI.COMM_WORLD
    alone: Any = None                                               # MPI.COMM_SELF
    settings: dict[str, Any] = field(default_factory=dict)  # what the program has set in mpi4py.rc
    initialized: bool = False                                       # by MPI.Init
    finalized: bool = False
    clock: Any = None  # what MPI.Wtime reads, if not this machine's
    attached: int = 0                                               # bytes for buffered sends
    attached_buffer: Any = None
    buffered: list[tuple[Communicator, Request]] = field(default_factory=list)  # buffered sends under way
    operations: int = 0                                             # created with Op.Create and not freed


RANKS: dict[int, Rank] = {}                                         # thread -> the rank that it is
REFUSED_HELPERS: list[CommError] = []           # of a program's own threads that called MPI


def current() -> Rank:
    """The rank that is calling. Raises CommError in a thread that is no rank's own."""
    rank = RANKS.get(threading.get_ident())
    if rank is not None:
        return rank
    if len(RANKS) == 1:
        return next(iter(RANKS.values()))
    operation, place = caller()
    if RANKS:
        error = CommError(f"MPI is used at {place} by the thread of {threading.current_thread().name}, which "
                          "is no rank's own; call MPI in the thread that runs the program, hand data over "
                          "with queue.Queue")
        REFUSED_HELPERS.append(error)
        raise error
    raise CommError(f"{operation} at {place} comes outside a job; start the program with minipar run")


def refuse_other_threads(rank: Rank) -> None:
    """Raises CommError where another thread than the rank's own calls MPI."""
    if rank.thread != threading.get_ident():
        operation, place = caller()
        error = CommError(f"rank {rank.comm.rank}: {operation} at {place} is called by the thread of "
                          f"{threading.current_thread().name}; call MPI in the thread that runs the program: "
                          "hand the data over with queue.Queue")
        REFUSED_HELPERS.append(error)
        raise error


@contextmanager
def entered(rank: Rank) -> Iterator[Rank]:
    """In the `with` block this thread is the rank."""
    RANKS[rank.thread] = rank
    try:
        yield rank
    finally:
        del RANKS[rank.thread]
