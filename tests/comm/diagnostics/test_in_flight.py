"""Arrays that are in flight: changed, received into twice, sent while they are received into."""

import numpy as np
import pytest

from minipar.comm.diagnostics.in_flight import WHOLE, has_changed, is_free, snapshot
from minipar.comm.diagnostics.ledger import Ledger
from minipar.comm.protocol import Communicator, Request
from minipar.errors import CommError
from tests.ranks import ranks
from tests.refusals import refused


@ranks(2)
@pytest.mark.parametrize("count", [1, 1000, WHOLE // 8, 100_000])
@pytest.mark.parametrize("ask", ["wait", "test"])
def test_an_array_changed_between_isend_and_wait(comm: Communicator, count: int, ask: str) -> None:
    other, array, got = 1 - comm.rank, np.arange(count, dtype=float), np.empty(count)
    receiving = comm.irecv(got, other, label="batch")
    sending = comm.isend(array, other, label="batch")
    comm.wait(receiving)
    array += 1
    with pytest.raises(
        CommError, match=r"send 'batch' at test_in_flight.py:\d+ .*changed between isend at test_in_flight.py"
    ):
        while not (comm.wait(sending) is array if ask == "wait" else comm.test(sending)):
            pass
    comm.barrier(label="both have received")  # the library may read the array until then


@ranks(2)
@pytest.mark.parametrize("second", ["isend", "irecv"])
def test_memory_that_is_received_into(comm: Communicator, second: str) -> None:
    array = np.zeros(4)
    first = comm.irecv(array, comm.rank, label="a")
    with refused(
        CommError, kind="overlap", verb="received into", operation=second[1:], label="b", other_label="a"
    ):
        getattr(comm, second)(array[1:], comm.rank, label="b")
    comm.send(np.ones(4), comm.rank, label="a")
    comm.wait(first)


@ranks(2)
def test_a_receive_into_memory_that_is_sent_but_not_two_sends_of_one_array(comm: Communicator) -> None:
    array, got = np.ones(4), np.empty(4)
    sending = [comm.isend(array, comm.rank, label="a") for _ in range(2)]
    with pytest.raises(CommError, match="'b' .*sent by the send 'a' started at test_in_flight.py"):
        comm.recv(array, comm.rank, label="b")
    for request in sending:
        comm.recv(got, comm.rank, label="a")
        comm.wait(request)


def test_a_snapshot_sees_a_swap_and_takes_any_dtype() -> None:
    for dtype in ("f8", "i1", "?", "f2"):
        for count in (0, 1, 7, 200_003):
            array = (np.arange(count) % 2).astype(dtype)
            same, swapped = array.copy(), array[::-1].copy() if count % 2 == 0 else 1 - array.astype("i1")
            assert snapshot(array) == snapshot(same)
            assert count == 0 or snapshot(array) != snapshot(swapped.astype(dtype))


@pytest.mark.parametrize("nbytes", [(1 << 16) + 1, 70_000, 1 << 20, (1 << 20) + 3, 5_000_001])
def test_the_sample_of_a_large_array_sees_its_ends_and_every_long_change(nbytes: int) -> None:
    """A change of one word may be missed; a changed piece that is as long as two gaps may not."""
    array = np.zeros(nbytes, np.uint8)
    before = snapshot(array)
    assert len(before) == 8 * 4096
    rng = np.random.default_rng(nbytes)
    long = 2 * -(-nbytes // 128)
    pieces = [(0, 1), (nbytes - 1, nbytes), (0, nbytes), (nbytes - long, nbytes)]
    pieces += [(start, start + long) for start in rng.integers(0, nbytes - long, 20).tolist()]
    for start, stop in pieces:
        array[start:stop] = 1
        assert snapshot(array) != before, (start, stop)
        array[start:stop] = 0


def test_only_views_of_one_memory_overlap() -> None:
    raw, one, other = bytearray(64), np.zeros(8), np.zeros(8)
    buffer, again = np.frombuffer(raw), np.frombuffer(raw)
    cases: list[tuple[np.ndarray, np.ndarray, bool]] = [
        (one, other, True), (one[2:], other[2:], True), (one[:4], one[4:], True),
        (one, one, False), (one[:5], one[4:], False), (one, one[4:].view(np.uint8), False),
        (buffer, again, False), (buffer[:4], again[4:], True), (buffer, one, True)]
    for held, array, free in cases:
        ledger = Ledger(0)
        ledger.letters.open[Request("recv", 0, 0, held, "")] = ""
        assert is_free(ledger, array) is free


@pytest.mark.parametrize("count", [1, WHOLE // 8, 100_000])
def test_a_change_of_the_first_or_the_last_element_is_seen(count: int) -> None:
    array = np.arange(count, dtype=float)
    before = snapshot(array)
    for index in (0, -1):
        assert not has_changed(array, before)
        array[index] += 1
        assert has_changed(array, before)
        array[index] -= 1
