"""Programs that change arrays of pending collectives, or use arrays in flight for a collective: always one
error.
"""

from collections.abc import Callable

import numpy as np
import pytest

from minipar.comm import collectives as c
from minipar.comm.diagnostics.in_flight import WHOLE, quiet
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.errors import CommError
from tests.ranks import ranks
from tests.refusals import refused

STARTABLE = [name for name in c.ALGORITHMS["all_reduce"] if name not in ("native", "shared")]
SCATTERS = [name for name in c.ALGORITHMS["reduce_scatter"] if name != "native"]


@pytest.mark.parametrize("length", [6, WHOLE])
@pytest.mark.parametrize("changed", ["input", "out", "in place"])
@pytest.mark.parametrize("name", STARTABLE)
def test_an_array_changed_between_start_and_wait(name: str, changed: str, length: int) -> None:
    """length: in float64, so that the whole array is kept, or a sample."""
    def program(comm: Communicator) -> None:
        array, out = np.ones(length), np.zeros(length)
        handle = c.start_all_reduce(
            comm, array, label="g", out=array if changed == "in place" else out, algorithm=name
        )
        comm.barrier(label="computing")
        (out if changed == "out" else array)[:] += 1
        handle.wait()

    for size in (2, 3):
        with pytest.raises(
            CommError,
            match=r"start_all_reduce 'g' at test_in_flight.py:\d+: .*changed between start_all_reduce",
        ):
            run(size, program)


@pytest.mark.parametrize("name", SCATTERS)
def test_the_rows_of_a_reduce_scatter_changed_on_its_way(name: str) -> None:
    def program(comm: Communicator) -> None:
        array = np.ones((4, 2))
        handle = c.start_reduce_scatter(comm, array, "mean", label="g", algorithm=name)
        array *= 2
        while not handle.test():
            pass

    with refused(CommError, kind="changed", operation="start_reduce_scatter", label="g"):
        run(2, program)


@ranks(2, 3)
@pytest.mark.parametrize("name", STARTABLE)
def test_a_right_program_may_test_in_between(comm: Communicator, name: str) -> None:
    """In place, above and below the limit of a whole copy; pieces that arrive meanwhile are no change."""
    arrays = [np.full(length, 1.0) for length in (5, WHOLE // 8 * 3)]
    handles = [c.start_all_reduce(comm, array, label="g", out=array, algorithm=name) for array in arrays]
    for _ in range(20):
        for handle in handles:
            handle.test()
    for handle in handles:
        assert (handle.wait() == comm.size).all()
    assert not comm.books.busy


def start(comm: Communicator, out: np.ndarray) -> Callable[[], object]:
    return c.start_all_reduce(comm, np.ones_like(out), label="first", out=out, algorithm="ring").wait


def receive(comm: Communicator, out: np.ndarray) -> Callable[[], object]:
    request = comm.irecv(out, comm.rank, label="first")

    def end() -> None:
        comm.send(np.ones_like(out), comm.rank, label="first")
        comm.wait(request)

    return end


FIRST = {"the start_all_reduce 'first'": start, "the recv 'first'": receive}
SECOND: dict[str, Callable[[Communicator, np.ndarray], object]] = {
    "broadcast": lambda comm, x: c.broadcast(comm, x, label="second"),
    "broadcast out": lambda comm, x: c.broadcast(comm, np.ones(4), out=x, label="second"),
    "reduce": lambda comm, x: c.reduce(comm, x, label="second"),
    "all_reduce": lambda comm, x: c.all_reduce(comm, x, "max", label="second"),
    "all_reduce out": lambda comm, x: c.all_reduce(comm, np.ones(4), label="second", out=x),
    "all_reduce part": lambda comm, x: c.all_reduce(comm, np.ones(1), label="second", out=x[3:]),
    "all_reduce column": lambda comm, x: c.all_reduce(comm, x[::2], label="second"),
    "start_all_reduce out": lambda comm, x: c.start_all_reduce(comm, np.ones(4), label="second", out=x),
    "reduce_scatter": lambda comm, x: c.reduce_scatter(comm, x, label="second"),
    "start_reduce_scatter": lambda comm, x: c.start_reduce_scatter(comm, x, label="second"),
    "all_gather": lambda comm, x: c.all_gather(comm, x, label="second"),
    "all_gather out": lambda comm, x: c.all_gather(comm, np.ones(2), label="second", out=x),
    "gather": lambda comm, x: c.gather(comm, x, label="second"),
    "scatter": lambda comm, x: c.scatter(comm, x, label="second"),
    "all_to_all": lambda comm, x: c.all_to_all(comm, x, label="second"),
    "send": lambda comm, x: comm.send(x, comm.rank, label="second"),
    "isend": lambda comm, x: comm.isend(x[1:], comm.rank, label="second"),
    "irecv": lambda comm, x: comm.irecv(x[:1], comm.rank, label="second"),
    "sendrecv": lambda comm, x: comm.sendrecv(np.ones(4), comm.rank, x, comm.rank, label="second"),
}


@ranks(2, mpi=())
@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", FIRST)
def test_memory_that_is_in_flight(comm: Communicator, first: str, second: str) -> None:
    memory = np.zeros(4)
    end = FIRST[first](comm, memory)
    verb = {"the recv 'first'": "received into", "the start_all_reduce 'first'": "written"}[first]
    with refused(CommError, kind="overlap", verb=verb, label="second", other_label="first"):
        SECOND[second](comm, memory)
    end()


@ranks(2, mpi=())
def test_what_is_only_read_may_be_read_again(comm: Communicator) -> None:
    x = np.ones(4)
    handles = [c.start_all_reduce(comm, x, label="g") for _ in range(2)]
    assert (c.all_reduce(comm, x, label="again") == 2).all()
    with refused(CommError, kind="overlap", verb="read", label="x", other_label="g"):
        comm.irecv(x, comm.rank, label="x")
    sending = comm.isend(x, comm.rank, label="x")
    comm.recv(np.empty(4), comm.rank, label="x")
    comm.wait(sending)
    assert all((handle.wait() == 2).all() for handle in handles)


@ranks(2, mpi=())
def test_one_call_may_not_send_from_where_it_receives(comm: Communicator) -> None:
    x = np.ones(4)
    with pytest.raises(CommError, match="sendrecv 'x' at test_in_flight.py"):
        comm.sendrecv(x[:3], comm.rank, x[1:], comm.rank, label="x")


def test_the_quiet_pieces_of_an_array() -> None:
    x = np.arange(10, dtype="i1")
    for filled, pieces in [([], [[*range(10)]]), ([x[3:5]], [[0, 1, 2], [5, 6, 7, 8, 9]]),
                           ([x[4:], x[2:6]], [[0, 1], [], []]), ([np.ones(3)], [[*range(10)]])]:
        assert [piece.view("i1").tolist() for piece in quiet(x, filled)] == pieces
