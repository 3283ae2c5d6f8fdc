"""Faults in the MPI library's own collectives, in shared memory, and in a rank's second thread."""

import threading

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.protocol import Communicator
from minipar.comm.wrappers.base import Wrapper
from tests.comm.planted.departures import GAVE_UP, rest, until_at_rest
from tests.comm.planted.table import planted

HERE = "beneath.py:"


def unchecked(comm: Communicator) -> Communicator:
    """The engine below the checks: its native collectives are not compared between ranks."""
    assert isinstance(comm, Wrapper)
    return comm.inner


@planted(2, "needs an engine over MPI",
         mpi=(GAVE_UP, "rank 0 is in all_reduce 'loss' at beneath.py:", "within the MPI library",
              "rank 1 is stopped"), timeout=0.3)
def native_while_one_is_stopped(comm: Communicator) -> None:
    """One rank is stopped while the other is in MPI_Allreduce."""
    if comm.rank == 1:
        rest(comm) if comm.native else None
    until_at_rest(comm, 1)
    c.all_reduce(unchecked(comm), np.ones(4), label="loss", algorithm="native")


@planted(2, "do not agree on algorithm", "rank 0: all_reduce sum", "rank 1: all_reduce sum", HERE)
def native_against_ring(comm: Communicator) -> None:
    """One rank calls MPI_Allreduce, the other the ring algorithm."""
    c.all_reduce(comm, np.ones(4), label="loss", algorithm="native" if comm.rank else "ring")


@planted(3, "do not agree on number of elements", "shared_array of (8,)", "shared_array of (4,)", HERE)
def shared_array_of_another_size(comm: Communicator) -> None:
    """One of three ranks creates a shared array of a different size."""
    c.shared_array(comm, 4 if comm.rank == 2 else 8, np.float64, label="stage")


@planted(2, "do not agree on operation", "rank 0: shared_array", "rank 1: barrier", HERE)
def shared_array_on_one_rank(comm: Communicator) -> None:
    """One rank creates a shared array, the other is in a barrier."""
    if comm.rank == 0:
        c.shared_array(comm, 8, np.float64, label="stage")
    comm.barrier(label="stage")


@planted(2, "recv 'aside' at beneath.py:", "in its own thread")
def second_thread_receives(comm: Communicator) -> None:
    """A rank receives in a second thread while its main thread is in a barrier."""
    if comm.rank == 1:
        helper = threading.Thread(target=lambda: comm.recv(np.ones(1), 0, label="aside"))
        helper.start()
        helper.join()
    comm.barrier(label="epoch")


@planted(2, "'aside' at beneath.py:", "in its own thread")
def second_thread_reduces(comm: Communicator) -> None:
    """Every rank all-reduces in a second thread, to overlap it with computation."""
    helper = threading.Thread(target=lambda: c.all_reduce(comm, np.ones(1), label="aside"))
    helper.start()
    helper.join()
    comm.barrier(label="epoch")
