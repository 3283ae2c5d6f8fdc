"""Checks of agreement and of loose ends: they detect mistakes, accept right programs, and send few messages.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives import all_reduce, broadcast, gather, start_all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.checking import Checking
from minipar.comm.wrappers.counting import Counting
from minipar.errors import CommError
from tests.ranks import ranks
from tests.refusals import refused

F4, F8 = np.dtype("f4"), np.dtype("f8")
# What rank 0 announces; the others announce (op "sum", 6 elements of float64, root 0, label "x").
MISTAKES: dict[str, Any] = {
    "operation": ("max", (6,), F8, 0, "x"),
    "number of elements": ("sum", (7,), F8, 0, "x"),
    "dtype": ("sum", (6,), F4, 0, "x"),
    "root": ("sum", (6,), F8, 1, "x"),
    "order of calls (label)": ("sum", (6,), F8, 0, "y"),
}


def announce(comm: Communicator, op: str, shape: tuple[int, ...], dtype: np.dtype, root: int,
             label: str) -> int:
    return comm.entering(op, shape, dtype, label=label, root=root)


@ranks(2, 3, 5)
@pytest.mark.parametrize("what", MISTAKES)
def test_every_rank_hears_both_sides(comm: Communicator, what: str) -> None:
    with pytest.raises(CommError) as caught:
        announce(comm, *(MISTAKES[what] if comm.rank == 0 else ("sum", (6,), F8, 0, "x")))
    text = str(caught.value)
    assert (
        f"do not agree on {what}: rank 0: " in text
        and text.count("at test_checking.py:") == 2
        and "\n" not in text
    )
    assert "; rank 1: sum of (6,) float64 with root 0 'x'" in text or "; ranks 1, 2" in text


@ranks(2, 3)
def test_other_shapes_of_one_size_agree(comm: Communicator) -> None:
    announce(comm, "sum", (2, 3) if comm.rank else (6,), F8, 0, "x")


@ranks(3)
def test_ranks_that_agree_hear_nothing(comm: Communicator) -> None:
    total = all_reduce(comm, np.full(5, float(comm.rank)), label="sum")
    broadcast(comm, total, root=1, label="again")
    gather(comm, total, root=2, label="once more")
    half = comm.split(comm.rank // 2, label="half")
    assert half is not None
    half.barrier(label="meet")


def test_the_number_of_collectives_so_far_is_compared() -> None:
    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            comm.entering("hidden", None, None, label="x")  # below the checks: only this rank counts one more
        Checking(comm).entering("sum", (1,), F8, label="x")

    says = r"do not agree on number of collectives so far: rank 0: .* \(after 1 others\); rank 1: .* \(after 0 others\)"
    with pytest.raises(CommError, match=says):
        run(2, program, checked=False)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_to_check_a_collective_takes_one_small_exchange(size: int) -> None:
    """ceil(log2 p) messages with the fingerprints, 8 bytes each, of all other ranks."""
    def program(comm: Communicator) -> tuple[int, int]:
        counting = Counting(comm)
        Checking(counting).entering("sum", (6,), F8, label="x")
        total = counting.traffic.total()
        return total.messages, total.bytes

    assert run(size, program, checked=False) == [((size - 1).bit_length(), 8 * (size - 1))] * size


@pytest.mark.parametrize("clean_up", [lambda comm: comm.barrier(label="clean up"),
                                      lambda comm: comm.recv(np.empty(1), 0, label="clean up")],
                         ids=["collective", "message"])
def test_an_error_that_a_finally_hides_is_told(clean_up: Callable[[Communicator], object]) -> None:
    """Else the message would only name what the ranks do on the way out."""
    def program(comm: Communicator) -> None:
        try:
            if comm.rank == 1:
                raise KeyError("weights")
            all_reduce(comm, np.ones(1), label="gradients")
        finally:
            clean_up(comm)

    with pytest.raises(CommError, match=r"'clean up' at test_checking.py:\d+ \(after KeyError: 'weights'\)"):
        run(2, program)


def left(comm: Communicator) -> None:
    if comm.rank == 0:
        comm.send(np.ones(2), 1, label="lost", tag=3)
        comm.send(np.ones(2), 1, label="lost again", tag=3)


def forgotten(comm: Communicator) -> None:
    if comm.rank == 0:
        comm.isend(np.ones(2), 1, label="unfinished")
    else:
        comm.recv(np.empty(2), 0, label="unfinished")


def unmatched(comm: Communicator) -> None:
    if comm.rank == 1:
        comm.irecv(np.ones(2), 0, label="hoped for")


def in_a_group(comm: Communicator) -> None:
    pair = comm.split(0, key=-comm.rank, label="pair")
    assert pair is not None
    if pair.rank == 0:
        pair.send(np.ones(2), 1, label="lost")


def started(comm: Communicator) -> None:
    start_all_reduce(comm, np.ones(2), label="gradients", algorithm="ring")


@pytest.mark.parametrize("program, says", [
    (started, r"rank 0 never waited for its start_all_reduce 'gradients' started at test_checking.py:\d+; "
              r"rank 1 never waited"),
    (left, r"rank 1 never received 2 messages, the last from rank 0 'lost again' \(tag 3\) sent at "
           r"test_checking.py:\d+"),
    (forgotten, r"rank 0 never waited for its send with rank 1 'unfinished' started at test_checking.py:\d+"),
    (unmatched, r"rank 1 never waited for its recv with rank 0 'hoped for' started at test_checking.py:\d+"),
    (in_a_group, r"rank 0 never received a message from rank 1 'lost' sent at test_checking.py:\d+"),
])
def test_loose_ends_are_reported_at_the_end(program: Callable[[Communicator], None], says: str) -> None:
    with pytest.raises(CommError, match="the program has ended, but " + says):
        run(2, program)


def test_many_loose_ends_are_not_all_told() -> None:
    def program(comm: Communicator) -> None:
        for tag in range(7):
            comm.send(np.ones(1), 0, label="lost", tag=tag)

    with refused(CommError, kind="loose ends", count=7):
        run(1, program)


def test_unchecked_nothing_is_compared_or_reported() -> None:
    run(2, left, checked=False)
