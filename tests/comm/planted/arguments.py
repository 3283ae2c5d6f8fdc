"""Missing arguments, and arguments of a wrong type. Unchecked, they end in a traceback of minipar."""

import numpy as np

from minipar.comm import collectives as c
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, exchange, finish
from minipar.comm.protocol import Communicator
from tests.comm.planted.table import planted


def ones(count: int = 4) -> np.ndarray:
    return np.ones(count)


@planted(
    2, "recv at arguments.py:", "needs an array to receive into and the rank that sends it", "not 0 alone"
)
def receive_without_an_array(comm: Communicator) -> None:
    """`comm.recv(0)`, as in other libraries: the array to receive into is missing."""
    if comm.rank == 0:
        comm.send(ones(), 1)
    else:
        comm.recv(0)  # type: ignore[arg-type]


@planted(
    2, "send at arguments.py:", "needs the array to send and the rank to send it to", "the rank is missing"
)
def send_without_a_rank(comm: Communicator) -> None:
    """`comm.send(array)` without the rank that receives it."""
    if comm.rank == 0:
        comm.send(ones())
    else:
        comm.recv(ones(), 0)


@planted(2, "wait at arguments.py:", "needs a request, which isend or irecv returns, not None")
def wait_for_nothing(comm: Communicator) -> None:
    """`wait` for the result of `send`, which returns None."""
    comm.wait(comm.send(ones(), comm.rank, label="x"))


def ring_without_yield(channel: Channel, array: np.ndarray) -> AlgorithmSteps:  # type: ignore[return]
    exchange(channel, array, 1 - channel.rank, np.empty_like(array), 1 - channel.rank)


def ring_with_bare_yield(channel: Channel, array: np.ndarray) -> AlgorithmSteps:
    channel.send(array, 1 - channel.rank)
    yield


@planted(2, "finish at arguments.py:", "needs the steps of an algorithm, not None", "`yield`")
def algorithm_without_yield(comm: Communicator) -> None:
    """A user's algorithm without `yield`, so it is not a generator."""
    finish(comm, ring_without_yield(Channel(comm, "mine", comm.entering("mine", None, None)), ones()))


@planted(2, "finish at arguments.py:", "the algorithm yields None", "only its messages")
def algorithm_that_yields_nothing(comm: Communicator) -> None:
    """A user's algorithm with a bare `yield`, which yields None instead of a message."""
    finish(comm, ring_with_bare_yield(Channel(comm, "mine", comm.entering("mine", None, None)), ones()))


@planted(2, "shared 'tables' at arguments.py:", "bytes for all ranks, but")
def shared_array_that_has_no_room(comm: Communicator) -> None:
    """A shared array of 800 TB."""
    c.shared_array(comm, 10**14 // comm.size, np.float64, label="tables")


@planted(
    2, "all_gather 'rows' at arguments.py:", "needs one count of rows per rank, whole numbers", "[2.0, 2.0]"
)
def counts_divided(comm: Communicator) -> None:
    """Counts of rows computed with `/`, so they are floats."""
    c.all_gather(comm, ones(2), counts=[4 / comm.size] * comm.size, label="rows")  # type: ignore[list-item]


@planted(2, "all_reduce 'loss' at arguments.py:", "needs a NumPy array, not float")
def number_instead_of_an_array(comm: Communicator) -> None:
    """An all-reduce of a Python number instead of an array."""
    c.all_reduce(comm, 1.5, label="loss")  # type: ignore[arg-type]


@planted(2, "all_reduce 'mask' at arguments.py:", "cannot sum booleans")
def booleans_summed(comm: Communicator) -> None:
    """A sum of booleans: in NumPy, True + True is True, not 2."""
    c.all_reduce(comm, ones() > 0, label="mask")
