"""The header of a message: different labels, sizes and dtypes give exact errors on both engines."""

from typing import Any

import numpy as np
import pytest

from minipar.comm.diagnostics.call_site import CallSite
from minipar.comm.diagnostics.header import HEAD, head, unpack
from minipar.comm.protocol import CODES, DTYPES, Communicator
from minipar.errors import CommError
from tests.ranks import ranks

LENGTHS = [0, 1, 128, 129, 5000]  # float64: MPI's long messages begin at 129


@ranks(2)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("how", ["recv", "test"])
def test_labels_that_are_swapped(comm: Communicator, length: int, how: str) -> None:
    """Without labels, weights and biases would be swapped without an error."""
    other, mine = 1 - comm.rank, np.ones(length)
    sending = comm.isend(mine, other, label="weight")
    with pytest.raises(
        CommError, match=f"'bias' at test_header.py:.* rank {other} .*'weight' at test_header.py"
    ):
        if how == "recv":
            comm.recv(np.empty(length), other, label="bias")
        receiving = comm.irecv(np.empty(length), other, label="bias")
        while not comm.test(receiving):
            pass
    comm.wait(sending)
    comm.books.open.clear()                                         # the request that failed


@ranks(2)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", ["f8", "f2", "?"])
def test_a_label_that_was_left_out_fits_any(comm: Communicator, length: int, dtype: str) -> None:
    other, mine = 1 - comm.rank, np.arange(length).astype(dtype)
    for given, expected in ((None, "x"), ("x", None), (None, None), ("x", "x"), ("x" * 200, "x" * 200)):
        out = np.zeros((length, 1), dtype)
        receiving = comm.irecv(out, other, label=expected)
        comm.send(mine, other, label=given)
        assert np.array_equal(comm.wait(receiving)[:, 0], mine)


@ranks(2)
@pytest.mark.parametrize("sent", LENGTHS)
@pytest.mark.parametrize("expected", LENGTHS)
def test_sizes_and_dtypes_are_said_exactly(comm: Communicator, sent: int, expected: int) -> None:
    for dtype in ("f8", "i4"):
        if (sent, dtype) != (expected, "f8"):
            sending = comm.isend(np.ones(sent, dtype), 1 - comm.rank)
            with pytest.raises(CommError) as caught:
                comm.recv(np.empty(expected), 1 - comm.rank)
            facts: dict[str, Any] = caught.value.facts
            assert (facts["kind"], facts["source"]) == ("other message", 1 - comm.rank)
            assert (facts["sent"].elements, facts["sent"].dtype) == (sent, dtype)
            assert facts["sent"].line.startswith("test_header.py:")
            comm.wait(sending)


@ranks(3)
def test_messages_of_several_tags_and_sizes_keep_their_order(comm: Communicator) -> None:
    """Short and long ones take turns; every rank sends to every rank, itself too."""
    random = np.random.default_rng(0)
    lengths = [int(length) for length in random.choice(LENGTHS, 12)]
    places = [(number % 2, length, number) for number, length in enumerate(lengths)]
    arrays = [[np.zeros(length) for _, length, _ in places] for _ in range(comm.size)]
    receiving = [comm.irecv(arrays[peer][number], peer, tag=tag, label=f"m{number}")
                 for peer in range(comm.size) for tag, _, number in places]
    sending = [comm.isend(np.full(length, 10.0 * comm.rank + number), peer, tag=tag, label=f"m{number}")
               for tag, length, number in places for peer in range(comm.size)]
    for request in [*random.permutation(np.array(receiving, object)), *sending]:  # in any order
        comm.wait(request)
    for peer in range(comm.size):
        assert all((arrays[peer][number] == 10.0 * peer + number).all() for _, _, number in places)


def test_an_header_has_one_length_and_comes_out_as_it_went_in() -> None:
    for label in ("", "weights", "\u00fc" * 100, "\ud800", "a\0b"):
        for line in ("train.py:88", "x" * 300 + ".py:1"):
            raw = head(3, label, CODES[np.dtype("f2")], line)
            header = unpack(raw)
            assert len(raw) == HEAD and header.dtype == DTYPES[10] and header.elements == 3
            assert header.line == line[-75:] and header.label[:40] == label.replace("\ud800", "?")[:40]


def test_a_call_site_is_no_label() -> None:
    assert head(1, "", 0, "a.py:1") != head(1, CallSite("a.py:1"), 0, "a.py:1")
