"""Loops of `test` calls, which wait without calling `wait`."""

import time

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.protocol import Communicator, Request
from tests.comm.planted.table import planted

HERE = "at polling.py:"
GAVE_UP = "timed out after 0.3 s"


def ones(count: int = 4) -> np.ndarray:
    return np.ones(count)


def poll(comm: Communicator, request: Request) -> None:
    while not comm.test(request):
        pass


@planted(2, "the partner has left, rank 1", "rank 0 waits in test of recv(source=1) 'news' at polling.py:",
         "rank 1 has finished")
def poll_for_a_rank_that_has_finished(comm: Communicator) -> None:
    """A loop of `test` for a message from a rank that has finished."""
    if comm.rank == 0:
        poll(comm, comm.irecv(ones(), 1, label="news"))


@planted(2, "the partner has left, rank 0", "rank 1 waits in test of recv(source=0) 'news' at polling.py:")
def poll_and_compute_for_a_rank_that_has_finished(comm: Communicator) -> None:
    """A loop of `test` and computation, for a message from a rank that has finished."""
    if comm.rank == 1:
        request, work = comm.irecv(ones(), 0, label="news"), ones(200_000)
        while not comm.test(request):
            for _ in range(20):
                np.sqrt(work, out=work)


@planted(3, "the partner has left, rank 2", "rank 0 waits in test of recv(source=2) 'news'",
         "rank 1 has finished")
def poll_and_sleep(comm: Communicator) -> None:
    """A loop of `test` and `sleep`, for a message from a rank that has finished."""
    if comm.rank == 0:
        request = comm.irecv(ones(), 2, label="news")
        while not comm.test(request):
            time.sleep(0.1)


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "rank 0 waits in test of recv(source=1) 'news' at polling.py:",
         "rank 1 waits in test of recv(source=0) 'news' at polling.py:")
def poll_each_other(comm: Communicator) -> None:
    """Two ranks loop over `test` for each other's message before they send."""
    poll(comm, comm.irecv(ones(), 1 - comm.rank, label="news"))
    comm.send(ones(), 1 - comm.rank, label="news")


@planted(3, "a cycle of waiting 0 -> 2 -> 1 -> 0", "rank 0 waits in test of recv(source=2) 'ring'",
         "rank 1 is in wait 'ring' at polling.py:")
def poll_in_a_ring(comm: Communicator) -> None:
    """A ring in which each rank receives before it sends: one waits, the others loop over `test`."""
    request = comm.irecv(ones(), (comm.rank - 1) % 3, label="ring")
    if comm.rank == 1:
        comm.wait(request)
    while not comm.test(request):
        time.sleep(0.001)
    comm.send(ones(), (comm.rank + 1) % 3, label="ring")


@planted(3, "test of recv(source=2) 'gradients' at polling.py:", "rank 2 has finished")
def poll_a_collective_that_one_rank_left(comm: Communicator) -> None:
    """`while not handle.test()` for a collective that a third rank has left."""
    handle = c.start_all_reduce(comm, ones(), label="gradients", algorithm="ring")
    while comm.rank != 2 and not handle.test():
        pass


@planted(2, "a cycle of waiting 0 -> 1 -> 0", "rank 0 waits in test of recv(source=1) 'a' at polling.py:",
         "is in barrier 'epoch' at polling.py:")
def poll_a_collective_against_a_barrier(comm: Communicator) -> None:
    """One rank loops over `test` of a collective, the other is in a barrier."""
    handle = c.start_all_reduce(comm, ones(), label="a", algorithm="ring")
    if comm.rank == 1:
        comm.barrier(label="epoch")
    while not handle.test():
        pass


@planted(3, "rank 0 waits in test of recv(source=1) 'any'", "and messages of rank 2", "rank 1 has finished",
         "rank 2 has finished")
def poll_for_any(comm: Communicator) -> None:
    """A loop that waits for either of two messages; none is sent."""
    if comm.rank == 0:
        requests = [comm.irecv(ones(), source, label="any") for source in (1, 2)]
        while not any(comm.test(request) for request in requests):
            pass


@planted(2, "rank 1 waits for itself", "rank 1 waits in test of recv(source=1) 'own part' at polling.py:")
def poll_for_myself(comm: Communicator) -> None:
    """A loop of `test` for a message from itself, without a send."""
    if comm.rank == 1:
        poll(comm, comm.irecv(ones(), 1, label="own part"))


@planted(2, "the partner has left, rank 1", "rank 0 waits in test of send(dest=1) 'weights' at polling.py:",
         synchronous=True)
def poll_a_send(comm: Communicator) -> None:
    """A loop of `test` of a synchronous send without a receive."""
    if comm.rank == 0:
        poll(comm, comm.isend(ones(), 1, label="weights"))


@planted(2, "rank 1 waits in test of recv(source=0, tag=2) 'weights' at polling.py:",
         "(a message came with tag 1)")
def poll_for_another_tag(comm: Communicator) -> None:
    """A loop of `test` for tag 2; tag 1 was sent."""
    if comm.rank == 0:
        comm.send(ones(), 1, label="weights", tag=1)
    else:
        poll(comm, comm.irecv(ones(), 0, label="weights", tag=2))


@planted(4, "the partner has left", "waits in test of recv(source=", "of group 'pairs' at polling.py:")
def poll_in_a_group(comm: Communicator) -> None:
    """A loop of `test` in a group, for a message from a rank that has finished."""
    pair = comm.split(comm.rank // 2, label="pairs")
    assert pair is not None
    if pair.rank == 0:
        poll(pair, pair.irecv(ones(), 1, label="half"))


@planted(2, GAVE_UP, "rank 0 waits in test of recv(source=1) 'news' at polling.py:", "rank 1 is computing",
         timeout=0.3)
def poll_beyond_the_limit(comm: Communicator) -> None:
    """A loop of `test` for a message from a rank that computes for longer than the timeout."""
    if comm.rank == 1:
        comm.send(ones(), 0, label="work begins")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pass
    comm.recv(ones(), 1, label="work begins")
    poll(comm, comm.irecv(ones(), 1, label="news"))
