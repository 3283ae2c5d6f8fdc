"""The protocol, the same on both engines."""

import time
from dataclasses import fields
from typing import Any, cast

import numpy as np
import pytest

from minipar.comm.protocol import DTYPES, TAGS, Communicator, Request, exchange
from minipar.comm.solo import solo
from minipar.errors import CommError
from tests.ranks import ranks
from tests.refusals import refused

EVERY = ranks(1, 2, 3, 5)


@EVERY
@pytest.mark.parametrize("dtype", [str(dtype) for dtype in DTYPES])
def test_a_ring_passes_arrays_on(comm: Communicator, dtype: str) -> None:
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    mine, got = np.full((2, 3), comm.rank).astype(dtype), np.empty((2, 3), dtype)
    back = comm.sendrecv(mine, right, got, left, label="ring")
    assert back is got and np.array_equal(got, np.full((2, 3), left).astype(dtype))


@EVERY
@pytest.mark.parametrize("length", [0, 1, 1 << 17])
def test_any_length_travels(comm: Communicator, length: int) -> None:
    got = np.empty(length)
    comm.sendrecv(np.arange(length) + float(comm.rank), (comm.rank + 1) % comm.size, got,
                  (comm.rank - 1) % comm.size, label="ring")
    assert np.array_equal(got, np.arange(length) + (comm.rank - 1) % comm.size)


@EVERY
def test_messages_of_one_tag_keep_their_order(comm: Communicator) -> None:
    sent = [comm.isend(np.array([step]), (comm.rank + 1) % comm.size, label="order", tag=7)
            for step in range(20)]
    got = [int(comm.recv(np.empty(1, np.int64), (comm.rank - 1) % comm.size, label="order", tag=7)[0])
           for _ in range(20)]
    for request in sent:
        comm.wait(request)
    assert got == list(range(20))


@EVERY
def test_tags_tell_messages_apart(comm: Communicator) -> None:
    dest, source = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    sent = [comm.isend(np.array([tag]), dest, label="tags", tag=tag) for tag in (0, 1, TAGS - 1)]
    for tag in (TAGS - 1, 0, 1):
        assert comm.recv(np.empty(1, np.int64), source, label="tags", tag=tag)[0] == tag
    for request in sent:
        comm.wait(request)


@EVERY
def test_numpy_s_whole_numbers_name_ranks_and_tags(comm: Communicator) -> None:
    dest, source = np.int32((comm.rank + 1) % comm.size), np.uint8((comm.rank - 1) % comm.size)
    got, tag = np.empty(1), np.int64(5)
    receiving = comm.irecv(got, source, label="numbers", tag=tag)
    if comm.rank == 0:
        time.sleep(0.1)                                             # so that the others write a notice
    sending = comm.isend(np.ones(1), dest, label="numbers", tag=tag)
    comm.wait(receiving)
    comm.wait(sending)
    assert got[0] == 1.0


@EVERY
def test_requests_are_filled_in_the_order_they_were_made_however_they_are_waited_for(
    comm: Communicator,
) -> None:
    dest, source = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    first, second = (comm.irecv(np.empty(1), source, label="two") for _ in range(2))
    comm.send(np.array([1.0]), dest, label="two")
    comm.send(np.array([2.0]), dest, label="two")
    assert comm.wait(second)[0] == 2 and comm.wait(first)[0] == 1


@EVERY
def test_a_request_can_be_tested_until_it_is_done(comm: Communicator) -> None:
    dest, source = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    receiving = comm.irecv(np.empty(3), source, label="test")
    sending = comm.isend(np.full(3, comm.rank, float), dest, label="test")
    while not (comm.test(receiving) and comm.test(sending)):
        pass
    assert receiving.done and (receiving.array == source).all()


@EVERY
def test_nobody_leaves_a_barrier_before_all_have_entered(comm: Communicator) -> None:
    entered = comm.shared(comm.size, label="marks")
    for step in range(1, 6):
        entered[comm.rank] = step
        comm.barrier(label="barrier")
        assert (entered >= step).all()
        comm.barrier(label="barrier")


@EVERY
def test_split_orders_by_key_and_knows_where_ranks_come_from(comm: Communicator) -> None:
    part = comm.split(comm.rank % 2, key=-comm.rank, label="parity")
    assert part is not None
    assert part.members == tuple(rank for rank in reversed(range(comm.size)) if rank % 2 == comm.rank % 2)
    assert part.members[part.rank] == comm.rank and part.name == "parity" and part.nodes == (0,) * part.size
    got = np.empty(1)
    part.sendrecv(np.array([float(comm.rank)]), (part.rank + 1) % part.size, got, (part.rank - 1) % part.size,
                  label="ring")
    assert got[0] == part.members[(part.rank - 1) % part.size]


@EVERY
def test_split_leaves_ranks_out_and_can_be_split_again(comm: Communicator) -> None:
    part = comm.split(None if comm.rank == 0 else 5, label="all but the first")
    assert (part is None) == (comm.rank == 0)
    if part is not None:
        again = part.split(part.rank // 2, label="pairs")
        assert again is not None and comm.rank in again.members and again.size <= 2


@EVERY
def test_groups_keep_their_messages_apart(comm: Communicator) -> None:
    other = comm.split(0, label="copy")
    assert other is not None
    dest, source = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    sent = [group.isend(np.array([value]), dest, label="apart")
            for group, value in ((comm, 1.0), (other, 2.0))]
    assert other.recv(np.empty(1), source, label="apart")[0] == 2
    assert comm.recv(np.empty(1), source, label="apart")[0] == 1
    for request in sent:
        comm.wait(request)


@EVERY
def test_shared_memory_is_one_block(comm: Communicator) -> None:
    block = comm.shared(8 * comm.size, label="block").view(np.int64)
    assert (block == 0).all()
    comm.barrier(label="seen")
    block[comm.rank] = comm.rank + 1
    comm.barrier(label="written")
    assert np.array_equal(block, np.arange(comm.size) + 1)


@EVERY
def test_exchange_gives_everyone_everything(comm: Communicator) -> None:
    table = exchange(comm, np.array([comm.rank, 10 * comm.rank]), label="table", tag=3)
    assert np.array_equal(table, [[rank, 10 * rank] for rank in range(comm.size)])


@EVERY
@pytest.mark.parametrize("spoil, item, remedy", [
    ("list", "array", ""), ("complex", "dtype", ""), ("swapped", "dtype", ""), ("rank", "rank", ""),
    ("strided", "array", "pass np.ascontiguousarray"), ("half", "rank", "divide with //"),
    ("tag", "tag", "")])
def test_what_cannot_travel_is_refused_by_name(
    comm: Communicator, spoil: str, item: str, remedy: str
) -> None:
    array: dict[str, Any] = {"list": [1.0], "complex": np.ones(4, complex), "swapped": np.ones(4, ">f8"),
             "strided": np.ones((4, 4))[:, 0]}
    dest: dict[str, Any] = {"rank": comm.size, "half": comm.rank / 2 * 0}
    with refused(CommError, remedy, operation="send", label="label", item=item):
        comm.isend(array.get(spoil, np.ones(4)), dest.get(spoil, 0), label="label",
                   tag=TAGS if spoil == "tag" else 0)


def test_a_quick_request_has_every_field_of_a_request() -> None:
    """`started` sets each field itself, because that is faster than a call of Request."""
    from minipar.comm.mpi.headed import started  # not at the top: it loads mpi4py

    array, handle = np.ones(3), cast(Any, object())
    quick = started("send", 1, 7, array, "x", handle, 4, b"abc")
    known = Request("send", 1, 7, array, "x", handle, type_code=4, content=b"abc")
    assert [getattr(quick, field.name) for field in fields(Request)] == [
        getattr(known, field.name) for field in fields(Request)]


def test_a_column_cannot_be_received_into_and_the_remedy_is_no_copy_that_nobody_reads() -> None:
    with refused(CommError, "receive into a contiguous one", operation="recv", item="array"):
        solo().irecv(np.ones((4, 4))[:, 0], 0, label="column")


@pytest.mark.parametrize("color, key, item", [
    (0.5, 0, "color"), ("tp", 0, "color"), (1 << 63, 0, "color"), (0, None, "key")])
def test_groups_are_named_by_whole_numbers(color: Any, key: Any, item: str) -> None:
    with refused(CommError, operation="split", label="grid", item=item):
        solo().split(color, key, label="grid")


@ranks(2, engines=["mpi"])  # a thread's message is there at once, however large
def test_a_next_message_of_another_dtype_is_not_taken_for_this_one(comm: Communicator) -> None:
    """The first is large, so it may still be on its way when the second is there."""
    large, small = np.ones(1 << 22), np.ones(1, np.int64)
    for _ in range(3):
        if comm.rank == 0:
            sent = [comm.isend(array, 1, label="batch") for array in (large, small)]
            time.sleep(0.5)  # it computes: nobody drives the large one on
            for request in sent:
                comm.wait(request)
        else:
            assert comm.recv(np.zeros_like(large), 0, label="batch").all()
            assert comm.recv(np.zeros_like(small), 0, label="batch").all()


@ranks(2, 3)
def test_a_failing_rank_catches_its_error_and_goes_on(comm: Communicator) -> None:
    """A message that does not fit is an error of its receiver alone; the communicator works on."""
    if comm.rank == 0:
        comm.send(np.ones(2, np.float32), 1, label="short")
    elif comm.rank == 1:
        request = comm.irecv(np.empty(3, np.float32), 0, label="short")
        for _ in range(2):  # a second time, too: no half-filled array goes for the message
            with pytest.raises(CommError, match=r"\(3,\) float32 from rank 0.*2 elements of float32"):
                comm.wait(request)
    comm.barrier(label="all well")


def test_a_single_process_needs_no_engine() -> None:
    comm = solo()
    assert (comm.rank, comm.size, comm.members, comm.nodes) == (0, 1, (0,), (0,))
    with pytest.raises(CommError, match="rank 0 waits for itself"):
        comm.recv(np.empty(1), 0, label="nothing")
