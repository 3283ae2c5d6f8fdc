"""Ranks that leave (return, exit, error, signal), and ranks that are stopped or busy."""

import os
import signal
import sys
import time
from typing import Any

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.deadlock.wait_graph import State
from minipar.comm.protocol import Communicator
from minipar.errors import DataError
from tests.comm.planted.table import planted

WAITS = "all_reduce 'gradients' at departures.py:"
GAVE_UP = "timed out after 0.3 s"


def reduce_gradients(comm: Communicator) -> None:
    c.all_reduce(comm, np.ones(4), label="gradients")


def states(comm: Any) -> list[State]:
    """The state of each rank, as the engine records it."""
    engine = comm.inner
    return engine.world.states if comm.native is None else [notice.state
                                                            for notice in engine.lookout.board.everyone()]


def until_all_others(comm: Communicator, doing: str, label: str = "") -> None:
    """Waits until all other ranks are in this state; there is no time limit."""
    while any((state.doing, state.label) != (doing, label) for rank, state in enumerate(states(comm))
              if rank != comm.rank):
        time.sleep(0.01)


@planted(3, "rank 1 has finished", WAITS)
def early_return(comm: Communicator) -> None:
    """One rank returns while the others are in a collective."""
    if comm.rank != 1:
        reduce_gradients(comm)


@planted(3, "rank 0 has finished", WAITS)
def early_exit(comm: Communicator) -> None:
    """One rank calls sys.exit(0) while the others are in a collective."""
    if comm.rank == 0:
        sys.exit(0)
    reduce_gradients(comm)


@planted(2, "rank 1 of 2 left with status 3")
def early_exit_with_status(comm: Communicator) -> None:
    """One rank calls sys.exit(3) while the other is in a collective."""
    if comm.rank == 1:
        sys.exit(3)
    reduce_gradients(comm)


@planted(3, "rank 2 of 3", "ValueError: the loss is not a number")
def exception_while_others_reduce(comm: Communicator) -> None:
    """An exception on one rank while the others all-reduce."""
    if comm.rank == 2:
        raise ValueError("the loss is not a number")
    reduce_gradients(comm)


@planted(2, "rank 0 of 2", "KeyError: 'weights'")
def exception_while_others_compute(comm: Communicator) -> None:
    """An exception on one rank while another one computes for a long time."""
    if comm.rank == 0:
        dict[str, int]()["weights"]
    time.sleep(30)


@planted(5, "rank 4 of 5", "ZeroDivisionError: division by zero")
def exception_in_the_middle(comm: Communicator) -> None:
    """An exception on the last of five ranks, after some steps."""
    for step in range(3):
        reduce_gradients(comm)
        if comm.rank == 4 and step == 1:
            print(step / 0)


@planted(3, "RuntimeError: out of luck")
def exception_on_all(comm: Communicator) -> None:
    """The same exception on every rank: it is reported once."""
    raise RuntimeError("out of luck")


@planted(3, "rank 1 of 3", "DataError", "no text in corpus.txt")
def exception_of_a_user(comm: Communicator) -> None:
    """A user's mistake that one rank finds: one line, no traceback."""
    if comm.rank == 1:
        raise DataError("no text in corpus.txt; name a file with some")
    reduce_gradients(comm)


@planted(3, "rank 0 of 3", "OSError: disk full")
def exception_after_all_is_done(comm: Communicator) -> None:
    """An exception after the last message, when the other ranks have finished."""
    reduce_gradients(comm)
    if comm.rank == 0:
        until_all_others(comm, "finished")
        raise OSError("disk full")


@planted(
    3, "rank 1 of 3", "was killed", mpi=("rank 1 ended without an error message", "rank 1 is gone", WAITS)
)
def killed_while_others_wait(comm: Communicator) -> None:
    """One rank is killed (kill -9) while the others wait for it."""
    if comm.rank == 1:
        until_all_others(comm, "waiting", "gradients")
        die(comm)
    reduce_gradients(comm)


@planted(2, "rank 0 of 2", "was killed", mpi=("rank 0 ended without an error message", "rank 0 is gone",
                                              "rank 1 is computing"))
def killed_while_others_compute(comm: Communicator) -> None:
    """One rank is killed while the other computes, for example because memory is full."""
    if comm.rank == 0:
        comm.recv(np.empty(0), 1, label="work begins")
        die(comm)
    comm.send(np.empty(0), 0, label="work begins")
    time.sleep(20)


@planted(3, "rank 2 of 3", "was killed", mpi=("rank 2 is gone",))
def gone_without_a_word(comm: Communicator) -> None:
    """One rank calls os._exit(1), as a library that crashes does."""
    if comm.rank == 2:
        until_all_others(comm, "waiting", "gradients")
        die(comm, status=1)
    reduce_gradients(comm)


@planted(2, GAVE_UP, "rank 1 is computing", mpi=(GAVE_UP, "rank 1 is stopped (kill -CONT"), timeout=0.3)
def stopped_while_another_waits(comm: Communicator) -> None:
    """One rank is stopped (SIGSTOP) while the other waits for it."""
    if comm.rank == 1:
        rest(comm)
    until_at_rest(comm, 1)
    reduce_gradients(comm)


@planted(3, GAVE_UP, "rank 0 is computing", mpi=(GAVE_UP, "rank 0 is stopped (kill -CONT"), timeout=0.3)
def stopped_in_a_chain(comm: Communicator) -> None:
    """Rank 2 waits for rank 1, which waits for a rank that is stopped."""
    if comm.rank == 0:
        rest(comm)
    until_at_rest(comm, 0)
    comm.recv(np.ones(1), comm.rank - 1, label="forward")


@planted(3, GAVE_UP, "rank 1 is computing at departures.py:", WAITS, timeout=0.3)
def busy_beyond_the_limit(comm: Communicator) -> None:
    """One rank computes for longer than the timeout of the others."""
    if comm.rank == 1:
        for other in (0, 2):
            comm.send(np.empty(0), other, label="work begins")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pass
    begins = comm.irecv(np.empty(0), 1, label="work begins")
    comm.wait(begins)
    reduce_gradients(comm)


class Killed(BaseException):
    """Raised on threads in place of a kill, because a thread cannot be killed."""


def die(comm: Communicator, status: int | None = None) -> None:
    if comm.native is None:
        raise Killed("was killed")
    if status is not None:
        os._exit(status)
    os.kill(os.getpid(), signal.SIGKILL)


def rest(comm: Communicator) -> None:
    if comm.native is not None:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(20)


def until_at_rest(comm: Communicator, rank: int) -> None:
    while comm.native is not None and states(comm)[rank].doing != "stopped":
        time.sleep(0.01)
